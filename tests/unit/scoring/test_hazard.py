import numpy as np
import pytest
import xgboost

from refit.errors import DataError
from refit.scoring.calibration import logit
from refit.scoring.contributions import contributions
from refit.scoring.hazard import HazardModel

AGES = 4


def made() -> tuple[HazardModel, np.ndarray]:
    """Return a hazard over four periods of three features, the last a category, and some records."""
    random = np.random.default_rng(1)
    matrix = random.normal(size=(3000, 3)).astype(np.float32)
    matrix[:, 2] = random.integers(0, 4, 3000)
    matrix[random.random(3000) < 0.1, 1] = np.nan
    age = random.integers(1, AGES + 1, 3000).astype(np.float32)
    odds = matrix[:, 0] + (matrix[:, 2] == 2) * age * 0.5 - 3
    label = (random.random(3000) < 1 / (1 + np.exp(-odds))).astype(float)
    types = ["q", "q", "c", "q"]
    data = xgboost.DMatrix(
        np.column_stack([matrix, age]), label, feature_types=types, enable_categorical=True, nthread=1
    )
    settings = {"objective": "binary:logistic", "max_depth": 3, "seed": 1, "nthread": 1, "verbosity": 0}
    return HazardModel(xgboost.train(settings, data, 40), AGES), matrix[:50]


MODEL, RECORDS = made()


def one_by_one(record: np.ndarray) -> float:
    """Return what the hazards of a record multiply up to, asked for one at a time."""
    survived = 1.0
    for age in range(1, AGES + 1):
        row = np.array([[*record, age]], dtype=np.float32)
        survived *= 1 - float(MODEL.booster.inplace_predict(row)[0])
    return 1 - survived


def test_the_periods_hazards_multiply_up():
    np.testing.assert_allclose(MODEL.probability(RECORDS), [one_by_one(record) for record in RECORDS], rtol=1e-6)


def test_a_record_gets_the_same_alone_and_among_others_and_in_parts(monkeypatch):
    together = MODEL.probability(RECORDS)
    assert [MODEL.probability(record[None, :])[0] for record in RECORDS] == together.tolist()
    monkeypatch.setattr("refit.scoring.hazard.CHUNK", 7)
    assert MODEL.probability(RECORDS).tolist() == together.tolist()


def test_no_records_get_no_probabilities():
    assert MODEL.probability(RECORDS[:0]).shape == (0,)


def test_more_periods_are_more_time_to_turn_bad():
    shorter = HazardModel(MODEL.booster, AGES - 1)
    assert (MODEL.probability(RECORDS) > shorter.probability(RECORDS)).all()


def test_it_is_the_same_again_from_its_bytes():
    again = HazardModel.from_bytes(MODEL.to_bytes())
    assert again.ages == AGES
    assert again.probability(RECORDS).tolist() == MODEL.probability(RECORDS).tolist()
    assert again.to_bytes() == MODEL.to_bytes()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{"], ids=["nothing", "text", "torn"])
def test_bytes_of_something_else_are_refused(content):
    with pytest.raises(DataError, match=r"model\.hazard"):
        HazardModel.from_bytes(content)


def test_plain_trees_are_no_hazard():
    booster = xgboost.Booster(model_file=bytearray(MODEL.to_bytes()))
    booster.set_attr(ages=None)
    with pytest.raises(DataError, match="does not say over how many periods"):
        HazardModel.from_bytes(bytes(booster.save_raw(raw_format="ubj")))


def test_baseline_and_contributions_add_up_to_the_score():
    found = contributions(MODEL, RECORDS)
    np.testing.assert_allclose(found.scores(), logit(MODEL.probability(RECORDS)), atol=1e-4)
    assert found.values.shape == RECORDS.shape


def test_contributions_do_not_depend_on_the_neighbours():
    together = contributions(MODEL, RECORDS[:5])
    alone = contributions(MODEL, RECORDS[3:4])
    assert alone.baseline == together.baseline
    np.testing.assert_allclose(alone.values[0], together.values[3], atol=1e-6)


def test_what_raises_the_hazard_of_every_period_counts_against():
    risky, safe = RECORDS[:1].copy(), RECORDS[:1].copy()
    risky[0, 0], safe[0, 0] = 3.0, -3.0
    assert contributions(MODEL, risky).values[0, 0] > 0.5 > -0.5 > contributions(MODEL, safe).values[0, 0]
