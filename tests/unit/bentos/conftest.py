"""A bundle whose model is one line, so that HTTP is what is tested."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest

from bentos.desk import Desk
from refit.scoring.bundle import Bundle, GoldenRecord
from refit.scoring.calibration import Calibrator
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
        "example": {"amount": 250, "covered": 100, "owner": "yes", "state": "TX"},
    }
)


@dataclass(frozen=True)
class ShareOfThousand:
    """Answers amount / 1000."""

    file: str = "model.fake"

    def probability(self, matrix):
        return matrix[:, 0].astype(np.float64) / 1000

    def to_bytes(self) -> bytes:
        return b""


@dataclass(frozen=True)
class FaultyModel(ShareOfThousand):
    """Fails with an error that names what it was asked for, as libraries do."""

    def probability(self, matrix):
        if matrix[0, 0] == np.float32(777.25):
            raise ValueError(f"cannot score {matrix.tolist()}")
        return super().probability(matrix)


def bundle(model=None) -> Bundle:
    columns = {name: np.array([], dtype=object) for name in USECASE.features}
    return Bundle(
        usecase=USECASE,
        version="toy-20030630-0123456789ab",
        as_of=datetime(2003, 6, 30, tzinfo=UTC),
        learner="fake",
        model=model or ShareOfThousand(),
        encoder=Encoder.fit(columns, USECASE),
        calibrator=Calibrator(kind="isotonic", x=(0.0, 1.0), y=(0.0, 1.0)),
        threshold=0.5,
        profile={},
        card={},
        golden=(GoldenRecord({"amount": 250.0}, 0.25),),
    )


class Browser:
    """Asks a desk over ASGI."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **options))

    async def _ask(self, method, path, **options):
        transport = httpx.ASGITransport(app=self.desk)
        async with httpx.AsyncClient(transport=transport, base_url="http://refit") as client:
            return await client.request(method, path, **options)


@pytest.fixture
def browser() -> Browser:
    return Browser(Desk(bundle()))


@pytest.fixture
def faulty() -> Browser:
    return Browser(Desk(bundle(FaultyModel())))
