"""What monitoring concludes of a champion's days: one bad night, a feature taken out, live requests."""

import json
from datetime import timedelta
from uuid import uuid4

import numpy as np
import pandas as pd
import pytest

from db.simulator import simulate
from flows.pictures import psi_picture
from refit.console.history import history
from refit.console.metrics import exposition
from refit.errors import ContractError
from refit.loop.ingest import ingest
from refit.loop.load import load_demo, load_frame
from refit.loop.monitor import monitor
from refit.loop.release import release
from refit.loop.retrain import retrain
from refit.store.rows import PredictionRow
from refit.usecase.model import UseCase
from tests.integration.loop.conftest import FIRST

PER_MONTH = 700
NIGHTS = [FIRST + timedelta(days=day) for day in (40, 41, 42)]
BOOK = simulate(NIGHTS[-1], months=20, per_month=PER_MONTH)
FRESH = BOOK[BOOK["applied_at"] > pd.Timestamp(NIGHTS[0])].assign(defaulted_on=pd.NaT, status="current")


def boosted_demo(world) -> UseCase:
    return world.usecase("demo").model_copy(update={"learners": ("xgboost",)})


@pytest.fixture(scope="module")
def past(remembered):
    def put_a_champion_live(world) -> str:
        usecase = boosted_demo(world)
        load_demo(world, FIRST, months=20, per_month=PER_MONTH)
        ingest(world, usecase, FIRST)
        decided = monitor(world, usecase, FIRST)
        made = retrain(world, usecase, FIRST, decision_id=decided.decision_id)
        return release(world, usecase, made.version, FIRST).version

    return remembered(put_a_champion_live)


@pytest.fixture
def settings(past, copied):
    return copied(past)


@pytest.fixture
def usecase(world) -> UseCase:
    return boosted_demo(world)


@pytest.fixture
def champion(past) -> str:
    return past.told


def night(world, usecase, as_of, records):
    """Take in what arrived, each dated to the hour before the night."""
    load_frame(world, usecase, records.assign(updated_at=pd.Timestamp(as_of) - pd.Timedelta(hours=1)), as_of)
    ingest(world, usecase, as_of)
    return monitor(world, usecase, as_of)


def applications(n: int, seed: int) -> pd.DataFrame:
    """Return n more loans like those of the book."""
    drawn = BOOK.sample(n, random_state=seed, replace=True).assign(defaulted_on=pd.NaT)
    return drawn.assign(loan_id=[f"extra-{seed}-{i}" for i in range(n)], applied_at=pd.Timestamp(NIGHTS[0]))


def test_one_bad_night_blocks_until_its_records_are_mended_and_no_longer(world, usecase):
    good = night(world, usecase, NIGHTS[0], applications(900, seed=1))
    assert good.decision.action != "block"
    torn = applications(80, seed=2)
    bad = night(world, usecase, NIGHTS[1], torn.assign(credit_score=np.nan))
    assert bad.decision.action == "block"
    assert "credit_score is missing in 100.0% of the 80 new records" in bad.decision.reasons[0].why
    assert monitor(world, usecase, NIGHTS[1] + timedelta(hours=1)).decision.action == "block"
    mended = night(world, usecase, NIGHTS[2], torn)
    assert mended.decision.action != "block"


def test_a_feature_taken_out_of_the_file_still_belongs_to_the_champion(world, usecase, champion):
    night(world, usecase, NIGHTS[0], applications(900, seed=1))
    left = {name: feature for name, feature in usecase.features.items() if name != "credit_score"}
    without = usecase.model_validate(
        usecase.model_dump(by_alias=True, exclude={"features", "example"})
        | {"features": {name: feature.model_dump(by_alias=True) for name, feature in left.items()}}
    )
    told = monitor(world, without, NIGHTS[0] + timedelta(hours=1), schedule_due=True)
    assert told.decision.action in {"retrain", "wait", "none"}
    load_frame(world, usecase, applications(600, seed=3).assign(updated_at=pd.Timestamp(NIGHTS[1])), NIGHTS[1])
    ingest(world, without, NIGHTS[1])
    with pytest.raises(ContractError, match=f"the champion {champion} reads credit_score otherwise"):
        monitor(world, without, NIGHTS[1])


def keep_requests(world, usecase, champion: str, n: int = 600) -> None:
    """Keep requests of the day before the first night whose income is twelve times that of the book."""
    inputs = applications(n, seed=4)[list(usecase.inputs)].astype(object)
    records = inputs.where(inputs.notna(), None).to_dict("records")
    rows = [
        PredictionRow(
            id=uuid4(),
            usecase="demo",
            version=champion,
            at=NIGHTS[0] - timedelta(days=1),
            request_id="r",
            inputs={name: 12 * value if name == "income" and value is not None else value for name, value in r.items()},
            probability=0.11,
            threshold=0.2,
            decision="approve",
            latency_ms=1.0,
        )
        for r in records
    ]
    world.ledger.keep_predictions(rows)


def test_live_requests_and_answers_are_compared_and_told(world, usecase, champion):
    keep_requests(world, usecase, champion)
    told = night(world, usecase, NIGHTS[0], applications(900, seed=1))
    live = [reason for reason in told.decision.reasons if reason.code == "live_drift"]
    assert "income" in {reason.column for reason in live}
    assert told.to_json()["live"]["n_current"] == 600
    kept = world.ledger.last_decision("demo", NIGHTS[0])
    assert kept.drift["live"]["n_current"] == 600
    report = world.ledger.reports("demo")[0]
    content = json.loads(world.reports.read(report.path_json))
    assert "score" not in content["not_drawn"]


def test_live_requests_are_kept_of_a_night_without_new_records_and_no_page_misses_the_rest(world, usecase, champion):
    keep_requests(world, usecase, champion)
    told = monitor(world, usecase, NIGHTS[0])
    assert told.decision.reasons[0].code == "nothing_new"
    kept = world.ledger.last_decision("demo", NIGHTS[0])
    assert list(kept.drift) == ["live"]
    assert kept.drift["live"]["n_current"] == 600
    assert history([kept], usecase.drift).runs == ()
    assert psi_picture([kept], 0.1, 0.25) is None
    assert (
        'refit_last_decision{action="none",use_case="demo"} 1.0'
        in exposition(world.ledger, ["demo"], NIGHTS[0]).decode()
    )
