import pytest
from pydantic import ValidationError

from refit.usecase.policy import Score, Search
from tests.unit.usecase.declared import usecase


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"search": {"trials": None}}, "a search without a budget never ends"),
        ({"search": {"trials": -1}}, "search.trials"),
        ({"search": {"seconds": 0}}, "search.seconds"),
        ({"balancing": []}, "balancing"),
        ({"balancing": ["rose"]}, "balancing.0"),
        ({"learners": ["lightgbm"]}, "learners.0"),
        ({"maturity": {"unripe": "guess"}}, "maturity.unripe"),
        ({"maturity": {"max_age_months": 0}}, "maturity.max_age_months"),
        ({"score": {"base_odds": 0}}, "score.base_odds"),
        ({"score": {"to_double": 0}}, "score.to_double"),
        ({"score": {"bands": {"B": 600, "A": 640}}}, "name the best first"),
        ({"score": {"bands": {"A": 600, "B": 600}}}, "name the best first"),
        ({"gate.segments": ["amount"]}, "gate.segments: amount: no category feature; choose from region, purpose"),
        ({"gate.segments": ["sex"]}, "gate.segments: sex"),
        ({"gate.leak_auc_max": 0.5}, "gate.leak_auc_max"),
        ({"gate.impact_ratio_min": 0}, "gate.impact_ratio_min"),
        ({"gate.segment_drop_max": 0}, "gate.segment_drop_max"),
        ({"source.settle_minutes": -1}, "source.settle_minutes"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_policy_that_cannot_be_followed_is_refused(changes, why):
    with pytest.raises(ValidationError) as error:
        usecase(changes)
    assert why in str(error.value)


def test_a_search_may_end_by_time_alone():
    assert Search(trials=None, seconds=30).seconds == 30


def test_bands_keep_their_order_through_json():
    score = Score(bands={"A": 640, "B": 600, "E": 0})
    assert list(Score.model_validate_json(score.model_dump_json()).bands) == ["A", "B", "E"]


def test_a_feature_may_say_its_reason_and_be_a_segment():
    made = usecase({"features.region.reason": "Defaults are frequent in the region", "gate.segments": ["region"]})
    assert made.features["region"].reason == "Defaults are frequent in the region"
