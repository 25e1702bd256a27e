"""What a declined applicant is told is true of them: low only below the typical record's value, high only above it."""

import dataclasses
import gzip
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import csv

from refit.intake.frame import frame
from refit.intake.loading import Seen, load_rows
from refit.intake.validate import validate
from refit.monitoring.profile import profile
from refit.scoring.bundle import Bundle
from refit.scoring.calibration import Calibrator
from refit.scoring.encoder import Encoder
from refit.scoring.explain import explain
from refit.training.parallel import silenced
from refit.usecase.catalogue import find, names
from refit.usecase.model import UseCase
from refit.usecase.reason import SidedReason
from tests.unit.scoring.learners import fitted
from tests.unit.training.book import as_inputs

DATA = Path(__file__).parents[4] / "shared" / "data"
FILES = {
    "npl": "npl_car_loans",
    "loantap": "loantap",
    "retail_churn": "retail_churn",
    "loan_approval": "loan_approval",
}
SIDED = [name for name in names() if any(isinstance(f.reason, SidedReason) for f in find(name).features.values())]
LEARNERS = ("xgboost", "logistic_regression", "scorecard")
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 8_000


def drawn(case: UseCase, n: int = 600) -> pd.DataFrame:
    """Return records around the use case's example, of which those far from the middle on either side turn out bad."""
    random = np.random.default_rng(5)
    columns, risk = {}, random.normal(size=n)
    for name, column in case.inputs.items():
        if column.type == "category":
            columns[name] = pd.Categorical(random.choice(list(column.choices or ("a", "b", "c")), n))
            continue
        usual = float(case.example[name])
        values = usual * random.lognormal(0, 0.4, n) if usual else random.poisson(0.7, n).astype(float)
        values = np.clip(np.round(values, 2), column.min, column.max)
        risk += np.abs(values - np.median(values)) / (values.std() or 1.0)
        values[random.random(n) < (0 if column.required else 0.05)] = np.nan
        columns[name] = values
    for name, expression in case.expressions.items():
        columns[name] = expression.evaluate({operand: columns[operand] for operand in expression.names})
    return pd.DataFrame(columns | {"_label": (risk > np.quantile(risk, 0.7)).astype(float)})


@cache
def real(name: str) -> pd.DataFrame:
    """Return a seeded part of the real records whose outcome is known, read as `refit load` and an ingest read them."""
    case = find(name)
    path = DATA / f"{FILES[name]}.csv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout")
    with gzip.open(path, "rb") as file:
        header = file.readline().decode().strip().split(",")
    texts = csv.ConvertOptions(column_types=dict.fromkeys((h.strip('"') for h in header), pa.string()))
    raw = csv.read_csv(path, convert_options=texts, parse_options=csv.ParseOptions(newlines_in_values=True))
    rows = np.sort(np.random.default_rng(5).permutation(len(raw))[:MANY])
    (batch,) = raw.take(pa.array(rows)).combine_chunks().to_batches()
    taken = validate(load_rows(batch, case, Seen(), AS_OF).rows, case).records
    made = frame(pa.Table.from_batches([taken]), case, AS_OF)
    return made[made["_label"].notna()].reset_index(drop=True)


def bundle_of(case: UseCase, records: pd.DataFrame, learner: str) -> Bundle:
    columns = {name: records[name].to_numpy() for name in case.features}
    encoder = Encoder.fit(columns, case)
    with silenced():
        model = fitted(learner, encoder.encode(columns), records["_label"].to_numpy(), encoder).model
    return Bundle(
        usecase=case,
        version="",
        as_of=AS_OF,
        learner=learner,
        model=model,
        encoder=encoder,
        calibrator=Calibrator("platt", (), (1.0, 0.0)),
        threshold=0.5,
        profile=profile(records, case).to_json(),
        card={},
    )


def told_to_the_declined(bundle: Bundle, records: pd.DataFrame, n: int) -> Counter:
    """Count what the n riskiest are told of numbers with sided words: `true`, `untrue`, or `plain` without a side."""
    columns = {name: records[name].to_numpy() for name in bundle.encoder.features}
    declined = np.argsort(-bundle.predict_columns(columns), kind="stable")[:n]
    told = Counter()
    for record in records.iloc[declined].to_dict("records"):
        for part in explain(bundle, as_inputs(record, bundle.usecase)).contributions:
            reason = bundle.usecase.features[part.feature].reason
            if part.reason is None or part.value is None or not isinstance(reason, SidedReason):
                continue
            middle = np.nanquantile(records[part.feature], 0.5, method="inverted_cdf")
            due = reason.low if part.value < middle else reason.high if part.value > middle else None
            if part.reason in {reason.low, reason.high}:
                told["true" if part.reason == due else "untrue"] += 1
            else:
                assert due is None
                assert part.reason.startswith(f"{part.title}: ")
                assert part.reason.endswith(" counts against")
                told["plain"] += 1
    return told


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("name", SIDED)
def test_no_declined_applicant_is_told_what_their_value_belies(name, learner):
    case = find(name)
    records = drawn(case)
    told = told_to_the_declined(bundle_of(case, records, learner), records, 25)
    assert told["untrue"] == 0
    assert told["true"]
    assert told["plain"]  # of high incomes that spoke against somebody there were some


@pytest.mark.slow
@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("name", sorted(FILES))
def test_no_declined_applicant_of_the_real_records_is_told_what_their_value_belies(name, learner):
    case = find(name)
    records = real(name)
    told = told_to_the_declined(bundle_of(case, records, learner), records, 200)
    assert told["untrue"] == 0
    assert told["true"]


def test_where_the_profile_tells_nothing_no_side_is_told():
    case = find("demo")
    records = drawn(case)
    bundle = dataclasses.replace(bundle_of(case, records, "logistic_regression"), profile={"n_records": len(records)})
    sided = {key for key, feature in case.features.items() if isinstance(feature.reason, SidedReason)}
    told = explain(bundle, as_inputs(records.iloc[0].to_dict(), case)).contributions
    assert all(part.reason.endswith("counts against") for part in told if part.feature in sided and part.reason)
