"""What a retrain leaves behind: bundle, verdict and card; and what a night that fails leaves."""

import json
import threading
from datetime import timedelta

import optuna
import pytest

from refit.errors import DataError, OutageError, ReleaseError
from refit.loop import nightly as night
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.release import release
from refit.loop.retrain import retrain
from refit.store.rows import DecisionRow, VerdictRow
from refit.usecase.policy import Search
from tests.integration.loop.conftest import FIRST


@pytest.fixture
def demo(world):
    usecase = world.usecase("demo")
    load_demo(world, FIRST, months=20, per_month=700)
    ingest(world, usecase, FIRST)
    return usecase.model_copy(update={"learners": ("logistic_regression",)})


def test_a_retrain_leaves_bundle_verdict_and_card(world, demo):
    made = retrain(world, demo, FIRST, search=Search(trials=0))
    assert world.ledger.bundle(made.version) is not None
    [verdict] = world.ledger.verdicts("demo")
    assert {check["name"] for check in verdict.checks} >= {"train and serve agree", "size", "latency", "segments"}
    [card] = [row for row in world.ledger.reports("demo") if row.kind == "card"]
    assert str(card.id) == made.card_id
    assert made.version in world.reports.read(card.path_html).decode() or made.version in card.title
    told = json.loads(world.reports.read(card.path_json))
    assert told["version"] == made.version
    assert told["verdict"]["outcome"] == made.verdict.outcome


def test_a_search_that_was_cut_off_goes_on_and_its_file_goes_once_the_model_is_kept(world, demo, monkeypatch):
    searched = Search(trials=3)
    tried = []

    def cut_off(*_args, **_kwargs):
        [file] = (world.settings.folder / "search" / "demo").glob("*.log")
        backend = optuna.storages.journal.JournalFileBackend(str(file))
        [study] = optuna.study.get_all_study_summaries(optuna.storages.JournalStorage(backend))
        tried.append(study.n_trials)
        raise OutageError("cut off")

    monkeypatch.setattr("refit.loop.retrain.judged", cut_off)
    for as_of in (FIRST, FIRST + timedelta(milliseconds=500)):  # as without --as-of: another moment each time
        with pytest.raises(OutageError):
            retrain(world, demo, as_of, search=searched)
    assert tried[0] == tried[1] >= 1
    monkeypatch.undo()
    retrain(world, demo, FIRST, search=searched)
    assert list((world.settings.folder / "search" / "demo").glob("*.log")) == []


def test_a_night_that_fails_stands_in_the_ledger_with_its_kind_and_message(world, demo, monkeypatch):
    def fails(*_args, **_kwargs):
        raise DataError("all 300 records are good")

    monkeypatch.setattr(night, "retrain", fails)
    with pytest.raises(DataError):
        night.nightly(world, demo, FIRST)
    [run] = world.ledger.runs("demo")
    assert (run.kind, run.outcome) == ("nightly", "failed")
    assert run.result == {"error": {"kind": "DataError", "message": "all 300 records are good"}}


def test_a_fault_of_our_own_keeps_its_message_which_may_hold_a_record_out_of_the_ledger(world, demo, monkeypatch):
    def fails(*_args, **_kwargs):
        raise ValueError("could not convert 'Ada Smith' to float")

    monkeypatch.setattr(night, "retrain", fails)
    with pytest.raises(ValueError, match="Ada Smith"):
        night.nightly(world, demo, FIRST)
    [run] = world.ledger.runs("demo")
    assert run.result["error"]["kind"] == "ValueError"
    assert "Ada" not in json.dumps(dict(run.result))


def test_a_retrain_closes_only_what_was_asked_for_by_its_own_day(world, demo):
    later = DecisionRow(usecase="demo", as_of=FIRST + timedelta(days=30), action="retrain", reasons=(), n_new=1)
    mine = DecisionRow(usecase="demo", as_of=FIRST, action="retrain", reasons=(), n_new=1)
    for row in (mine, later):
        world.ledger.record_decision(row)
    made = retrain(world, demo, FIRST, decision_id=str(mine.id), search=Search(trials=0))
    assert [row.id for row in world.ledger.open_decisions("demo")] == [later.id]
    again = retrain(world, demo, FIRST, decision_id=str(mine.id), search=Search(trials=0))
    assert again.carried_out_before
    assert (again.version, again.verdict, again.metrics) == (made.version, made.verdict, made.metrics)


def test_a_champion_is_asked_with_its_own_reading_of_the_records(world, demo):
    first = retrain(world, demo, FIRST, search=Search(trials=0))
    release(world, demo, first.version, FIRST)
    turned = demo.model_copy(
        update={
            "features": demo.features
            | {"loan_to_income": demo.features["loan_to_income"].model_copy(update={"from_": "income / amount"})},
            "objective": demo.objective.model_copy(update={"metric": "log_loss"}),
        }
    )
    turned = type(demo).model_validate(turned.model_dump(by_alias=True))
    second = retrain(world, turned, FIRST, search=Search(trials=0))
    gain = next(check for check in second.verdict.checks if check.name == "gain")
    assert gain.outcome == "fail"
    assert gain.seen is not None
    assert abs(gain.seen) < 0.01


def test_two_challengers_of_one_champion_cannot_both_go_live(world, demo):
    first = retrain(world, demo, FIRST, search=Search(trials=0))
    release(world, demo, first.version, FIRST)
    rivals = []
    for seed in (1, 2):
        rival = retrain(world, demo.model_copy(update={"seed": seed}), FIRST, search=Search(trials=0)).version
        verdict = VerdictRow(
            usecase="demo", challenger=rival, champion=first.version, outcome="promote", checks=(), as_of=FIRST
        )
        world.ledger.record_verdict(verdict)
        rivals.append(rival)
    ended: list[str] = []

    def go(version: str) -> None:
        try:
            ended.append(release(world, demo, version, FIRST).version)
        except ReleaseError:
            ended.append("refused")

    threads = [threading.Thread(target=go, args=(version,)) for version in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one in rivals for one in ended) == [False, True]
    assert world.ledger.live("demo").version in ended
