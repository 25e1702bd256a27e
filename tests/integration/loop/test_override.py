"""A person may release what the gate refused, by name and reason, and the ledger keeps both; some things nobody may."""

import pytest

from refit.errors import ReleaseError
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.release import Override, bundle_folder, catch_up, release, rollback
from refit.loop.retrain import retrain
from refit.store.rows import VerdictRow
from refit.usecase.model import UseCase
from refit.usecase.policy import Search
from tests.integration.loop.conftest import FIRST

OVERRIDE = Override(" R. Moss ", "The floor was set for another product. ")


def strict_demo(world) -> UseCase:
    """Return the demo with a floor that no model reaches."""
    usecase = world.usecase("demo")
    gate = usecase.gate.model_copy(update={"floor": {"roc_auc": 0.999}})
    return usecase.model_copy(update={"gate": gate, "learners": ("logistic_regression",)})


@pytest.fixture(scope="module")
def past(remembered):
    def refuse(world) -> str:
        load_demo(world, FIRST, months=20, per_month=700)
        ingest(world, world.usecase("demo"), FIRST)
        return retrain(world, strict_demo(world), FIRST, search=Search(trials=0)).version

    return remembered(refuse)


@pytest.fixture
def settings(past, copied):
    return copied(past)


@pytest.fixture
def strict(world) -> UseCase:
    return strict_demo(world)


@pytest.fixture
def refused(past) -> str:
    return past.told


def test_a_refused_model_goes_live_by_name_and_reason_and_the_ledger_keeps_both(world, strict, refused):
    done = release(world, strict, refused, FIRST, override=OVERRIDE)
    assert world.ledger.live("demo").version == refused == done.version
    [kept] = world.ledger.overrides("demo")
    assert (kept.version, kept.by, kept.reason) == (refused, "R. Moss", "The floor was set for another product.")
    assert kept.verdict == world.ledger.verdicts("demo")[0].id
    [row] = world.ledger.releases("demo")
    assert row.reason == "overridden by R. Moss: The floor was set for another product."


def test_the_verdict_still_says_refuse_and_nothing_releases_it_by_itself(world, strict, refused):
    assert catch_up(world, strict, FIRST) is None
    with pytest.raises(ReleaseError, match="A person may override"):
        release(world, strict, refused, FIRST)
    release(world, strict, refused, FIRST, override=OVERRIDE)
    assert world.ledger.verdicts("demo")[0].outcome == "refuse"
    with pytest.raises(ReleaseError, match="no earlier release"):
        rollback(world, strict, FIRST)


def test_an_override_twice_is_one_release(world, strict, refused):
    first = release(world, strict, refused, FIRST, override=OVERRIDE)
    assert release(world, strict, refused, FIRST, override=OVERRIDE) == first
    assert len(world.ledger.overrides("demo", version=refused)) == 1


@pytest.mark.parametrize(("by", "reason"), [("", "because"), ("R. Moss", "  ")], ids=["nobody", "no reason"])
def test_an_override_takes_a_name_and_a_reason(by, reason):
    with pytest.raises(ReleaseError, match="a reason"):
        Override(by, reason)


def test_an_override_names_its_version(world, strict):
    with pytest.raises(ReleaseError, match="names the version"):
        release(world, strict, None, FIRST, override=OVERRIDE)


def test_what_was_never_judged_cannot_be_overridden(world, strict):
    with pytest.raises(ReleaseError, match="never judged"):
        release(world, strict, "demo-20240101-000000000000", FIRST, override=OVERRIDE)


def test_nobody_releases_a_model_that_is_not_shown_to_answer_as_in_training(world, strict, refused):
    last = world.ledger.verdicts("demo")[0]
    checks = [
        {**check, "outcome": "fail", "why": "no golden record for want of grade"}
        if check["name"] == "train and serve agree"
        else check
        for check in last.checks
    ]
    world.ledger.record_verdict(
        VerdictRow(
            usecase="demo", challenger=refused, champion=None, outcome="refuse", checks=tuple(checks), as_of=FIRST
        )
    )
    with pytest.raises(ReleaseError, match="no override is possible") as error:
        release(world, strict, refused, FIRST, override=OVERRIDE)
    assert "is not shown to answer in service as in training: no golden record for want of grade" in str(error.value)
    assert world.ledger.live("demo") is None
    assert world.ledger.overrides("demo") == []


def test_nobody_releases_a_bundle_that_cannot_be_loaded(world, strict, refused):
    (bundle_folder(world, refused) / "golden.json").write_text("[]")
    with pytest.raises(ReleaseError, match="cannot be loaded"):
        release(world, strict, refused, FIRST, override=OVERRIDE)
    assert world.ledger.overrides("demo") == []
