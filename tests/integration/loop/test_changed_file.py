"""What becomes of a champion once its use case names other classes, fewer features or another aim."""

from functools import partial

import pytest

from refit.errors import DataError
from refit.loop.ingest import ingest
from refit.loop.load import load_demo
from refit.loop.monitor import monitor
from refit.loop.release import Override, bundle_folder, release
from refit.loop.retrain import retrain
from refit.scoring import bundle as bundles
from refit.usecase.model import UseCase
from refit.usecase.policy import Search
from tests.integration.loop.conftest import FIRST, LATER

OVERRIDE = Override("R. Moss", "To have one that is live.")
load = partial(load_demo, per_month=700)


def changed(world, **changes) -> UseCase:
    """Return the demo with top-level keys replaced, None for one left out."""
    told = world.usecase("demo").model_dump(by_alias=True) | {"learners": ["logistic_regression"]} | changes
    return UseCase.model_validate({name: value for name, value in told.items() if value is not None})


def without(world, *names: str) -> dict:
    """Return the demo's features without those named."""
    features = world.usecase("demo").model_dump(by_alias=True)["features"]
    return {name: feature for name, feature in features.items() if name not in names}


def of_homes(world, *classes: str) -> UseCase:
    """Return a use case that tells from an application how the applicant lives."""
    return changed(
        world,
        task="multiclass",
        label={"name": "home", "column": "home_ownership", "classes": classes},
        features=without(world, "home_ownership"),
        gate={},
        example=None,
    )


def put_live(world, usecase) -> str:
    """Train on all that is known on the first day, and release it whatever the gate says."""
    load(world, FIRST, months=20)
    ingest(world, usecase, FIRST)
    made = retrain(world, usecase, FIRST, search=Search(trials=0))
    return release(world, usecase, made.version, FIRST, override=OVERRIDE).version


def test_once_a_class_is_added_the_night_still_decides_and_a_recalibration_asks_for_a_retrain(world):
    champion = put_live(world, of_homes(world, "rent", "mortgage", "own"))
    today = of_homes(world, "rent", "mortgage", "own", "other")
    load(world, LATER, months=23)
    ingest(world, today, LATER)
    told = monitor(world, today, LATER)
    assert told.performance is None
    assert told.decision.action in {"none", "retrain", "wait"}
    with pytest.raises(DataError, match=f"{champion} tells apart rent, mortgage, own, .*; retrain it instead"):
        retrain(world, today, LATER, recalibrate=True)
    gain = next(c for c in retrain(world, today, LATER, search=Search(trials=0)).verdict.checks if c.name == "gain")
    assert gain.outcome == "fail"
    assert "made for other columns or classes" in gain.why


def test_classes_in_another_order_are_the_same_classes(world):
    usecase = of_homes(world, "rent", "mortgage", "own")
    put_live(world, usecase)
    turned = of_homes(world, "own", "mortgage", "rent")
    load(world, LATER, months=23)
    ingest(world, usecase, LATER)
    seen, same = monitor(world, turned, LATER).performance, monitor(world, usecase, LATER).performance
    assert seen.seen == pytest.approx(same.seen)


def test_a_recalibration_reads_as_the_champion_does_and_decides_as_the_file_says_now(world):
    usecase = changed(world)
    champion = put_live(world, usecase)
    load(world, LATER, months=23)
    ingest(world, usecase, LATER)
    today = changed(
        world,
        features=without(world, "credit_score"),
        objective={"metric": "roc_auc", "decide": {"approval_rate": 0.8}},
        example=None,
    )
    made = retrain(world, today, LATER, recalibrate=True)
    kept = bundles.load(bundle_folder(world, made.version))
    assert any(champion in note for note in kept.card["notes"])
    assert (kept.usecase.features, kept.usecase.objective) == (usecase.features, today.objective)
    assert kept.card["at_threshold"]["approval_rate"] == pytest.approx(0.8, abs=0.1)
    gain = next(check for check in made.verdict.checks if check.name == "gain")
    assert "same order" in gain.why


def test_what_monitoring_counts_as_matured_a_recalibration_finds_where_the_split_is_at_random(world):
    usecase = changed(world, split={"by": "random"})
    champion = put_live(world, usecase)
    load(world, LATER, months=23)
    ingest(world, usecase, LATER)
    told = monitor(world, usecase, LATER)
    made = bundles.load(bundle_folder(world, retrain(world, usecase, LATER, recalibrate=True).version))
    parts = made.card["parts"]
    assert made.version != champion
    assert parts["calibration"]["n"] + parts["test"]["n"] == told.performance.n
