"""What the metrics show of the supervisor, which tells it."""

import time
from datetime import UTC, datetime

import pytest

from bentos.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("toy", "v1", datetime(2003, 6, 30, tzinfo=UTC))


def seen(metrics: Metrics, **told: float) -> dict[str, float]:
    lines = metrics.text(told).decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def test_a_ledger_that_is_silent_is_shown_with_the_time_it_is_and_one_that_answers_with_none(metrics):
    silent = seen(metrics, silent_since=time.time() - 100, unconfirmed=1)
    assert 100 <= silent["refit_ledger_silent_seconds"] < 200
    assert silent["refit_release_unconfirmed"] == 1
    answering = seen(metrics, silent_since=0, unconfirmed=0)
    assert answering["refit_ledger_silent_seconds"] == 0
    assert answering["refit_release_unconfirmed"] == 0


def test_without_a_supervisor_nothing_is_said_of_the_ledger(metrics):
    assert not any("ledger" in name or "unconfirmed" in name for name in seen(metrics))


def test_a_clock_that_was_put_back_makes_no_age_negative(metrics):
    later = time.time() + 3600
    shown = seen(metrics, silent_since=later, live_since=later, unconfirmed=0)
    assert shown["refit_ledger_silent_seconds"] == 0
    assert shown['refit_model_age_seconds{since="live"}'] == 0
