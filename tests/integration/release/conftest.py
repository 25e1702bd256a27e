"""Two small bundles, trained in a moment and built as real Bentos."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xgboost

from refit.release.bento import bento_path, build
from refit.release.supervisor import Release
from refit.scoring.bundle import Bundle, GoldenRecord, named, save
from refit.scoring.calibration import Calibrator
from refit.scoring.encoder import Encoder
from refit.scoring.model import XGBoostModel
from refit.usecase.model import UseCase

USECASE = UseCase.model_validate(
    {
        "name": "toy",
        "title": "A toy",
        "source": {"table": "source.toy", "key": "id", "arrived_at": "day"},
        "event_time": {"column": "day"},
        "label": {"name": "bad", "happened_on": {"column": "failed_on"}, "within_months": 12},
        "features": {
            "amount": {"type": "number", "min": 0, "max": 1e6, "required": True, "title": "Amount", "unit": "USD"},
            "share": {"type": "number", "from": "covered / amount", "min": 0, "max": 1},
            "sector": {"type": "category", "parse": "prefix:2", "unknown": "0"},
            "owner": {"type": "category", "choices": ["yes", "no"]},
        },
        "known_later": ["paid"],
        "example": {"amount": 1000, "covered": 500, "sector": "1100", "owner": "yes"},
    }
)
INPUTS = (
    {"amount": 100.0, "covered": 50.0, "sector": "1100", "owner": "yes"},
    {"amount": 900.5, "covered": None, "sector": "22", "owner": "no"},
    {"amount": 999.0, "covered": 999.0, "sector": None, "owner": None},
)


def toy_bundle(seed: int) -> Bundle:
    """Return a bundle; another seed gives another model and version."""
    random = np.random.default_rng(seed)
    n = 400
    sector = random.choice(["11", "22", "33"], n).astype(object)
    owner = random.choice(["yes", "no"], n).astype(object)
    columns = {"amount": random.uniform(1, 1000, n), "share": random.uniform(0, 1, n), "sector": sector, "owner": owner}
    encoder = Encoder.fit(columns, USECASE)
    bad = columns["amount"] / 1000 + (sector == "22") + random.normal(0, 0.3, n) > 1
    matrix = xgboost.DMatrix(encoder.encode(columns), bad.astype(float))
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, matrix, num_boost_round=10)
    bundle = Bundle(
        usecase=USECASE,
        version="",
        as_of=datetime(2003, 6, 30, tzinfo=UTC),
        learner="xgboost",
        model=XGBoostModel(booster),
        encoder=encoder,
        calibrator=Calibrator(kind="isotonic", x=(0.0, 1.0), y=(0.0, 1.0)),
        threshold=0.4,
        profile={},
        card={},
    )
    answers = bundle.predict(INPUTS)
    golden = tuple(GoldenRecord(dict(i), float(p)) for i, p in zip(INPUTS, answers, strict=True))
    return named(dataclasses.replace(bundle, golden=golden))


@dataclass(frozen=True)
class Built:
    """A bundle, its folder, and the Bento made of it."""

    bundle: Bundle
    folder: Path
    home: Path
    tag: str

    @property
    def path(self) -> Path:
        return bento_path(self.tag, self.home)

    def release(self, number: int, **changes) -> Release:
        plain = Release(number, self.bundle.version, self.tag, self.path)
        return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("bentoml")


@pytest.fixture(scope="session")
def bentos(home, tmp_path_factory) -> tuple[Built, Built]:
    """v1 and v2."""
    return tuple(_built(seed, home, tmp_path_factory.mktemp("bundle") / "folder") for seed in (1, 2))


def _built(seed: int, home: Path, folder: Path) -> Built:
    bundle = toy_bundle(seed)
    save(bundle, folder)
    return Built(bundle, folder, home, build(folder, bentoml_home=home))
