"""The search beside FLAML: the same train and test rows, two cores, FLAML for two minutes, ours for no longer.

    python benchmarks/flaml.py ../shared/data [DATASET ...] [--splits 5] [--seconds 120] [--ours 75s]

FLAML lives in an environment of its own, made in a temporary folder. Prints one JSON line a data set; on stderr each
split as it ends.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from reading import records

from refit.intake.frame import frame
from refit.scoring.metrics import Floats, evaluate
from refit.training.budget import budget
from refit.training.train import Trained, train
from refit.usecase.catalogue import find
from refit.usecase.model import UseCase
from refit.usecase.policy import Search

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)

FIT = """
import sys, time
import numpy as np, pandas as pd
from flaml import AutoML
folder, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
train, test = (pd.read_csv(f"{folder}/{part}.csv", dtype={}, keep_default_na=True) for part in ("train", "test"))
texts = [name for name in train if train[name].dtype.kind not in "fiub"]
for name in texts:
    known = sorted(set(train[name].dropna().astype(str)))
    for part in (train, test):
        part[name] = pd.Categorical(part[name].astype(str).where(part[name].notna()), categories=known)
label = train.pop("_label").astype(int)
automl, began = AutoML(), time.monotonic()
automl.fit(train, label, task="classification", time_budget=seconds, n_jobs=2, seed=seed, verbose=0)
took = time.monotonic() - began
np.save(f"{folder}/said.npy", automl.predict_proba(test))
print(took, automl.best_estimator)
"""


FILES: Mapping[str, str] = {
    "loan_approval": "loan_approval.csv.gz",
    "customer_segmentation": "customer_segmentation.csv.gz",
    "loantap": "loantap.csv.gz",  # its use case leaves the address out, and with it the zip
    "npl": "npl_car_loans.csv.gz",  # the copies in it are left out by the training
}


def seeded(usecase: UseCase, seed: int) -> UseCase:
    """Return the use case with a random split of its own; the learners it may choose from are those it names."""
    content = usecase.model_dump(mode="json", by_alias=True, exclude_none=True)
    return UseCase.model_validate({**content, "seed": seed, "split": {"by": "random", "test_share": 0.2}})


@dataclass(frozen=True)
class Result:
    """What one model made of one test."""

    auc: float
    log_loss: float
    seconds: float
    learner: str


def ours(seen: pd.DataFrame, usecase: UseCase, search: Search) -> tuple[Result, Trained]:
    began = time.monotonic()
    done = train(seen, usecase, AS_OF, code_version="0", snapshot="0", search=search)
    took = time.monotonic() - began
    return _result(done.test["_label"].to_numpy(), done.probability, took, done.bundle.learner), done


def theirs(done: Trained, python: Path, seconds: float) -> Result:
    usecase = done.bundle.usecase
    features = list(usecase.features)
    with tempfile.TemporaryDirectory() as folder:
        for part, rows in (("train", done.parts.before_test), ("test", done.parts.test)):
            chosen = done.matured.iloc[rows][[*features, "_label"]]
            (chosen if part == "train" else chosen[features]).to_csv(f"{folder}/{part}.csv", index=False)
        command = [python, "-I", "-W", "ignore", "-c", FIT, folder, str(seconds), str(usecase.seed)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode:
            raise SystemExit(told.stderr)
        said = np.load(f"{folder}/said.npy")
    took, learner = told.stdout.split()[-2:]
    probability = said if usecase.classes else said[:, 1]
    return _result(done.test["_label"].to_numpy(), probability, float(took), learner)


def _result(label: Floats, probability: Floats, seconds: float, learner: str) -> Result:
    auc, loss = (evaluate(metric, label, probability) for metric in ("roc_auc", "log_loss"))
    return Result(auc, loss, seconds, learner)


@contextmanager
def flaml(given: Path | None) -> Iterator[Path | None]:
    """Give an environment's Python that has FLAML, or None with a printed reason."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        made = subprocess.run(
            [python, "-m", "pip", "install", "-q", "flaml[automl]"], capture_output=True, text=True, check=False
        )
        if made.returncode:
            print(json.dumps({"skipped": f"FLAML cannot be installed: {made.stderr.strip().splitlines()[-1]}"}))
        yield None if made.returncode else python


def _means(results: list[Result]) -> dict[str, Any]:
    numbers = {name: float(np.mean([getattr(r, name) for r in results])) for name in ("auc", "log_loss", "seconds")}
    return {**numbers, "learners": [r.learner for r in results]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("datasets", nargs="*", choices=[*FILES, []])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first split")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--ours", default="75s", help="the budget of our search, as in 40, 90s or '40 trials 5m'")
    parser.add_argument("--python", type=Path, help="an environment that has FLAML already")
    parser.add_argument("--alone", action="store_true", help="without FLAML")
    asked = parser.parse_args()
    with flaml(Path(sys.executable) if asked.alone else asked.python) as python:
        for name in asked.datasets or FILES:
            path = asked.folder / FILES[name]
            if not path.exists():
                print(json.dumps({"dataset": name, "skipped": f"{path.name} is not in {asked.folder}"}))
                continue
            usecase = find(name)
            seen = frame(records(path, usecase, AS_OF), usecase, AS_OF)
            mine, other = [], []
            for seed in range(asked.first, asked.first + asked.splits):
                result, done = ours(seen, seeded(usecase, seed), budget(asked.ours))
                mine.append(result)
                if python is not None and not asked.alone:
                    other.append(theirs(done, python, asked.seconds))
                print(name, seed, result, *other[-1:], file=sys.stderr, flush=True)
            told = {"dataset": name, "splits": asked.splits, "refit": _means(mine)}
            print(json.dumps(told | ({"flaml": _means(other)} if other else {})), flush=True)


if __name__ == "__main__":
    main()
