"""A bundle whose model is one line, so that HTTP is what is tested."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

from bentos.desk import Desk
from refit.scoring.bundle import Bundle, GoldenRecord
from refit.scoring.calibration import Calibrator, ClassCalibrator, logit
from refit.scoring.contributions import Contributions
from refit.scoring.encoder import Encoder
from refit.usecase.model import UseCase

USECASE = UseCase.model_validate(
    {
        "name": "toy",
        "title": "A toy",
        "source": {"table": "source.toy", "key": "id", "arrived_at": "day"},
        "event_time": {"column": "day"},
        "label": {"name": "bad", "happened_on": {"column": "failed_on"}, "within_months": 12},
        "features": {
            "amount": {"type": "number", "min": 0, "max": 1000, "required": True, "title": "Amount", "unit": "USD"},
            "share": {"type": "number", "from": "covered / amount", "min": 0, "max": 1},
            "owner": {"type": "category", "choices": ["yes", "no"]},
            "state": {"type": "category"},
        },
        "known_later": ["paid"],
        "score": {"base": 600, "base_odds": 1, "to_double": 20, "bands": {"A": 620, "B": 580}},
        "example": {"amount": 250, "covered": 100, "owner": "yes", "state": "TX"},
    }
)
OF_CLASSES = UseCase.model_validate(
    USECASE.model_dump(by_alias=True, exclude={"known_later", "score"})
    | {"name": "thirds", "task": "multiclass", "label": {"name": "kind", "column": "kind", "classes": ["x", "y", "z"]}}
)


@dataclass(frozen=True)
class ShareOfThousand:
    """Answers amount / 1000."""

    file: str = "model.fake"

    def probability(self, matrix):
        return matrix[:, 0].astype(np.float64) / 1000

    def contributions(self, matrix, of=None):
        assert of is None
        values = np.zeros(matrix.shape)
        values[:, 0] = logit(matrix[:, 0].astype(np.float64) / 1000)
        return Contributions(0.0, values, "an even chance")

    def to_bytes(self) -> bytes:
        return b""


@dataclass(frozen=True)
class Thirds(ShareOfThousand):
    """Answers three classes: amount / 1000, and the rest in equal parts."""

    def probability(self, matrix):
        first = matrix[:, 0].astype(np.float64) / 1000
        return np.stack([first, (1 - first) / 2, (1 - first) / 2], axis=1)

    def contributions(self, matrix, of=None):
        values = np.zeros(matrix.shape)
        values[:, 0] = np.log(self.probability(matrix)[:, of])
        return Contributions(0.0, values, "nothing")


@dataclass(frozen=True)
class FaultyModel(ShareOfThousand):
    """Fails with an error that names what it was asked for, as libraries do."""

    def probability(self, matrix):
        if matrix[0, 0] == np.float32(777.25):
            raise ValueError(f"cannot score {matrix.tolist()}")
        return super().probability(matrix)


def bundle(model=None, usecase: UseCase = USECASE) -> Bundle:
    columns = {name: np.array([], dtype=object) for name in usecase.features}
    return Bundle(
        usecase=usecase,
        version="toy-20030630-0123456789ab",
        as_of=datetime(2003, 6, 30, tzinfo=UTC),
        learner="fake",
        model=model or ShareOfThousand(),
        encoder=Encoder.fit(columns, usecase),
        calibrator=(
            Calibrator(kind="isotonic", x=(0.0, 1.0), y=(0.0, 1.0))
            if usecase.classes is None
            else ClassCalibrator(kind="identity")
        ),
        threshold=0.5,
        profile={},
        card={},
        golden=(GoldenRecord({"amount": 250.0}, 0.25),),
    )


class Browser:
    """Asks a desk over ASGI."""

    def __init__(self, desk: Desk, client: str = "127.0.0.1") -> None:
        self.desk = desk
        self.client = client, 4711

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **options))

    async def _ask(self, method, path, **options):
        transport = httpx.ASGITransport(app=self.desk, client=self.client)
        async with httpx.AsyncClient(transport=transport, base_url="http://refit") as client:
            return await client.request(method, path, **options)


@pytest.fixture
def browser() -> Browser:
    return Browser(Desk(bundle()))


@pytest.fixture
def faulty() -> Browser:
    return Browser(Desk(bundle(FaultyModel())))


@pytest.fixture
def of_classes() -> Browser:
    return Browser(Desk(bundle(Thirds(), OF_CLASSES)))
