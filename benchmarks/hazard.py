"""Learning from young loans against learning from matured ones alone, on the SBA's loans: what each knew at the time.

At the end of each quarter both are trained on what was known then, and score the approvals of the next one, whose
outcome within 36 months the file holds: those of 2003 and of 2004, up to September, where the file ends.
"""

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost

from refit.intake.labels import known
from refit.scoring.encoder import Encoder
from refit.scoring.metrics import log_loss, roc_auc
from refit.training import hazard
from refit.training.maturity import columns
from refit.training.periods import LAST
from refit.usecase.catalogue import find
from refit.usecase.model import UseCase

FILE = Path(__file__).parents[1].parent / "shared/data/sba_loans_fy1990_2004.csv.gz"
PLAIN = {**hazard.BOOST, "nthread": 1, "verbosity": 0, "seed": 1}
"""The same trees for both."""
MATURED_MONTHS = 36


def loans(case: UseCase) -> pd.DataFrame:
    """Return the file as a frame holds it, outcomes of all times in it."""
    raw = pd.read_csv(FILE, dtype=str, keep_default_na=False)
    columns_: dict[str, Any] = {"_key": raw["LoanNr_ChkDgt"]}
    for name, column in case.inputs.items():
        text = raw[name].str.strip()
        text = text.where(~text.isin(["", *column.unknown]))
        if column.type == "number":
            columns_[name] = pd.to_numeric(text.str.replace("[$,]", "", regex=True)).astype(float)
        else:
            cut = int(column.rule.removeprefix("prefix:")) if column.rule.startswith("prefix:") else None
            columns_[name] = text.str[:cut].astype("category")
    for name, expression in case.expressions.items():
        columns_[name] = expression.evaluate({operand: columns_[operand].to_numpy() for operand in expression.names})
    for name, source in (("_event_time", "ApprovalDate"), ("ChgOffDate", "ChgOffDate")):
        columns_[name] = pd.to_datetime(raw[source].replace("", None), format="%d-%b-%y", utc=True).astype(
            "datetime64[us, UTC]"
        )
    return pd.DataFrame(columns_).sort_values(["_event_time", "_key"], kind="stable", ignore_index=True)


def as_known(frame: pd.DataFrame, case: UseCase, as_of: datetime) -> pd.DataFrame:
    """Return what was known at `as_of`."""
    seen = frame[frame["_event_time"] <= pd.Timestamp(as_of)]
    outcome = known(seen, case, as_of)
    happened_on = seen["ChgOffDate"].where(seen["ChgOffDate"] <= pd.Timestamp(as_of))
    return seen.assign(_label=outcome.label, _ripe=outcome.ripe, **{hazard.HAPPENED_ON: happened_on})


def of_matured(seen: pd.DataFrame, case: UseCase, scored: pd.DataFrame) -> np.ndarray:
    """Return what trees learned from the newest matured loans alone say of others."""
    matured = seen[seen["_ripe"]]
    start = matured["_event_time"].max() - pd.DateOffset(months=MATURED_MONTHS)
    matured = matured[matured["_event_time"] > start]
    encoder = Encoder.fit(columns(matured, tuple(case.features)), case)
    types = ["c" if category else "q" for category in encoder.is_category]
    matrix = encoder.encode(columns(matured, encoder.features))
    data = xgboost.DMatrix(
        matrix, matured["_label"].to_numpy(), feature_types=types, enable_categorical=True, nthread=1
    )
    booster = xgboost.train(PLAIN, data, hazard.TREES)
    return np.asarray(booster.inplace_predict(encoder.encode(columns(scored, encoder.features))), dtype=np.float64)


def quarter(frame: pd.DataFrame, case: UseCase, day: pd.Timestamp, last: int) -> dict[str, Any]:
    """Return how both do on the approvals of the quarter after `day`."""
    as_of = (day + pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)).to_pydatetime()
    seen = as_known(frame, case, as_of)
    event = frame["_event_time"]
    scored = frame[(event > pd.Timestamp(as_of)) & (event < day + pd.Timedelta(days=1) + pd.DateOffset(months=3))]
    label = known(scored, case, datetime(2015, 1, 1, tzinfo=UTC)).label
    found: dict[str, Any] = {"as_of": str(day.date()), "n": len(scored), "bad_rate": float(label.mean())}
    for name, answers in (
        ("matured_only", lambda: of_matured(seen, case, scored)),
        ("hazard", lambda: hazard.fit(seen, case, as_of, case.seed, last=last).probability(scored)),
    ):
        start = time.perf_counter()
        p = answers()
        found[name] = {
            "roc_auc": roc_auc(label, p),
            "log_loss": log_loss(label, p),
            "mean_predicted": float(p.mean()),
            "seconds": time.perf_counter() - start,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--last", type=int, default=LAST, help="quarters of life each loan tells of")
    parser.add_argument("--quarters", type=int, default=7, help="how many, from that of January 2003")
    options = parser.parse_args()
    if not FILE.exists():
        print(json.dumps({"benchmark": "hazard", "skipped": f"{FILE.name} is not beside this folder"}))
        sys.exit(0)
    case = find("sba")
    frame = loans(case)
    days = pd.date_range("2002-12-31", periods=options.quarters, freq="QE", tz="UTC")
    quarters = [quarter(frame, case, day, options.last) for day in days]
    result: dict[str, Any] = {"benchmark": "young loans by hazard against matured loans alone", "quarters": quarters}
    for name in ("matured_only", "hazard"):
        result[name] = {
            figure: round(statistics.mean(one[name][figure] for one in quarters), 4)
            for figure in ("roc_auc", "log_loss", "mean_predicted", "seconds")
        }
    result["mean_seen"] = round(statistics.mean(one["bad_rate"] for one in quarters), 4)
    result["reach"] = "hazard clearly better in AUC and in log loss, its mean prediction not above what was seen"
    print(json.dumps(result))


if __name__ == "__main__":
    main()
