"""What may go live on which day, and what holds after a person put something live or back; on a real Postgres."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from refit.errors import DataError, ReleaseError
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.monitor import monitor
from refit.loop.release import bundle_folder, catch_up, release, rollback
from refit.loop.retrain import Retrained, retrain
from refit.loop.wiring import World
from refit.store.rows import VerdictRow
from refit.usecase.model import UseCase
from refit.usecase.policy import Search
from tests.integration.loop.conftest import FIRST, LATER

TODAY = datetime(2026, 3, 17, 8, tzinfo=UTC)
"""Long after the nights that are replayed."""


def easy_demo(world: World, seed: int = 0) -> UseCase:
    """Return the demo with a gate that any challenger passes beside its champion."""
    usecase = world.usecase("demo")
    gate = usecase.gate.model_copy(update={"min_gain": -1.0})
    return usecase.model_copy(update={"gate": gate, "learners": ("logistic_regression",), "seed": seed})


def trained(world: World, as_of: datetime, seed: int = 0) -> Retrained:
    made = retrain(world, easy_demo(world, seed), as_of, search=Search(trials=0))
    assert made.verdict.outcome == "promote"
    return made


@dataclass(frozen=True)
class Two:
    """A model of the first day, and one of a later day that was judged against it."""

    first: str
    second: str


@pytest.fixture(scope="module")
def past(remembered):
    def of_a_later_day(world) -> str:
        load_demo(world, LATER, months=23, per_month=700)
        ingest(world, world.usecase("demo"), LATER)
        return trained(world, LATER).version

    return remembered(of_a_later_day)


@pytest.fixture(scope="module")
def past_of_two(remembered):
    def two_releases(world) -> Two:
        load_demo(world, LATER, months=23, per_month=700)
        ingest(world, world.usecase("demo"), LATER)
        first = trained(world, FIRST).version
        release(world, easy_demo(world), first, FIRST)
        second = trained(world, LATER).version
        release(world, easy_demo(world), second, LATER)
        return Two(first, second)

    return remembered(two_releases)


class TestOfALaterDay:
    @pytest.fixture
    def settings(self, past, copied):
        return copied(past)

    @pytest.fixture
    def later(self, past) -> str:
        return past.told

    def test_no_night_of_an_earlier_day_catches_up_with_it(self, world, later):
        assert catch_up(world, easy_demo(world), FIRST) is None
        assert world.ledger.live("demo") is None
        assert catch_up(world, easy_demo(world), LATER).version == later

    def test_what_was_promoted_by_the_day_is_still_caught_up_with(self, world, later):
        earlier = trained(world, FIRST).version
        again = trained(world, LATER, seed=7).version
        assert len({earlier, later, again}) == 3
        assert catch_up(world, easy_demo(world), FIRST).version == earlier

    def test_nobody_releases_it_on_an_earlier_day(self, world, later):
        with pytest.raises(ReleaseError, match="knows what was known at 2024-06-30 23:59 UTC, so it cannot go live at"):
            release(world, easy_demo(world), later, FIRST)
        with pytest.raises(ReleaseError, match="promoted no challenger"):
            release(world, easy_demo(world), None, FIRST)
        assert world.ledger.live("demo") is None

    def test_it_is_no_champion_of_an_earlier_day_on_whatever_day_it_was_released(self, world, later):
        release(world, easy_demo(world), later, LATER)
        assert world.ledger.live("demo", FIRST) is None
        with pytest.raises(ReleaseError, match=f"{later} is live now, which knows what was known at 2024-06-30"):
            release(world, easy_demo(world), trained(world, FIRST).version, FIRST)

    def test_released_without_a_day_it_is_the_champion_of_the_nights_that_follow_its_own(self, world, later):
        release(world, easy_demo(world), None, None)
        assert world.ledger.releases("demo")[0].as_of > LATER
        assert world.ledger.live("demo", LATER).version == later
        assert monitor(world, easy_demo(world), LATER + timedelta(days=1)).decision.action == "none"

    def test_a_damaged_bundle_does_not_go_live_and_it_says_what_to_do(self, world, later):
        (bundle_folder(world, later) / "golden.json").write_text("broken")
        with pytest.raises(ReleaseError, match="altered since it was written; restore its folder"):
            release(world, easy_demo(world), later, LATER)
        assert world.ledger.releases("demo") == []


class TestOfTwoReleases:
    @pytest.fixture
    def settings(self, past_of_two, copied):
        return copied(past_of_two)

    @pytest.fixture
    def two(self, past_of_two) -> Two:
        return past_of_two.told

    def test_after_a_rollback_of_today_a_replay_goes_on_from_what_is_live(self, world, two):
        rollback(world, easy_demo(world), TODAY)
        assert world.ledger.live("demo").version == world.ledger.live("demo", LATER).version == two.first
        next_night = LATER + timedelta(days=1)
        third = trained(world, next_night)
        assert world.ledger.verdicts("demo")[0].champion == two.first
        release(world, easy_demo(world), third.version, next_night)
        assert world.ledger.live("demo").version == world.ledger.live("demo", next_night).version == third.version
        assert world.ledger.live("demo", FIRST).version == two.first

    def test_a_rollback_is_not_overruled_by_a_night_that_began_before_it(self, world, two):
        third = retrain(world, easy_demo(world, seed=7), LATER, search=Search(trials=0)).version
        world.ledger.record_verdict(
            VerdictRow(usecase="demo", challenger=third, champion=two.second, outcome="promote", checks=(), as_of=LATER)
        )
        rollback(world, easy_demo(world), TODAY)
        with pytest.raises(ReleaseError, match=f"judged against {two.second}, and {two.first} is live now; judge it"):
            release(world, easy_demo(world), third, LATER)
        assert world.ledger.live("demo").version == two.first

    def test_where_the_live_model_is_damaged_every_step_names_the_way_out_and_it_leads_out(self, world, two):
        (bundle_folder(world, two.second) / "golden.json").write_text("broken")
        next_night = LATER + timedelta(days=1)
        for step in (monitor, retrain):
            with pytest.raises(DataError, match="or go back to the release before with `refit rollback demo`"):
                step(world, easy_demo(world), next_night)
        assert rollback(world, easy_demo(world), TODAY).version == two.first
        third = trained(world, next_night).version
        assert release(world, easy_demo(world), third, next_night).version == third
