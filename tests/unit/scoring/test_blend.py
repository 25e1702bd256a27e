import io
from zipfile import ZipFile

import numpy as np
import pytest

from refit.errors import DataError
from refit.scoring.blend import BLEND_FILE, BlendModel, mixed
from refit.scoring.calibration import logit, softmax
from refit.scoring.contributions import contributions
from refit.scoring.model import read_model
from refit.training.learners.registry import LEARNERS
from tests.unit.training.records import fit, records

MATRIX, LABEL = records(300)
PARAMS = {"xgboost": {"trees": 20}, "random_forest": {"trees": 10}, "logistic_regression": {}, "scorecard": {}}


def blend(*learners, n_classes=2):
    label = records(300, n_classes=n_classes)[1]
    return BlendModel(
        tuple(fit(LEARNERS[name], MATRIX, label, params=PARAMS[name], n_classes=n_classes).model for name in learners)
    )


def test_a_blend_says_the_average_log_odds_of_its_members():
    found = blend("xgboost", "logistic_regression")
    each = [logit(member.probability(MATRIX)) for member in found.members]
    assert logit(found.probability(MATRIX)) == pytest.approx((each[0] + each[1]) / 2)


def test_of_several_classes_each_row_sums_to_one_and_the_order_of_members_says_nothing():
    found = blend("xgboost", "random_forest", n_classes=3)
    said = found.probability(MATRIX)
    assert said.shape == (300, 3)
    assert said.sum(axis=1) == pytest.approx(1.0)
    assert BlendModel(found.members[::-1]).probability(MATRIX) == pytest.approx(said)
    assert found.n_classes == 3


@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_file_gives_back_the_same_answers_and_the_same_bytes(n_classes):
    found = blend("xgboost", "random_forest", "logistic_regression", n_classes=n_classes)
    again = read_model(found.file, found.to_bytes())
    assert again.probability(MATRIX).tolist() == found.probability(MATRIX).tolist()
    assert again.to_bytes() == found.to_bytes()
    assert again.probability(MATRIX[:0]).shape == found.probability(MATRIX)[:0].shape


def test_what_each_feature_adds_sums_to_the_log_odds_whatever_the_members():
    found = blend("xgboost", "random_forest", "scorecard")
    explained = contributions(found, MATRIX[:5], MATRIX[7])
    assert explained.scores() == pytest.approx(logit(found.probability(MATRIX[:5])), abs=1e-5)
    assert " and " in explained.against


def test_the_margins_of_all_classes_give_the_probabilities():
    found = blend("xgboost", "random_forest", n_classes=3)
    margins = [contributions(found, MATRIX[:5], MATRIX[7], of).scores() for of in range(3)]
    assert softmax(np.column_stack(margins)) == pytest.approx(found.probability(MATRIX[:5]), abs=1e-5)


def zipped(**files):
    packed = io.BytesIO()
    with ZipFile(packed, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense",
        zipped(),
        zipped(**{"model.ubj": b"{"}),
        zipped(**{"0/model.ubj": b"nonsense"}),
        zipped(**{"0/model.blend": blend("scorecard").to_bytes()}),
    ],
    ids=["no zip", "empty", "no number", "a member that is none", "a blend in a blend"],
)
def test_what_is_no_blend_is_refused(content):
    with pytest.raises(DataError):
        read_model(BLEND_FILE, content)


def test_members_that_agree_are_not_moved():
    p = np.array([0.1, 0.5, 0.9])
    assert mixed([p, p]) == pytest.approx(p)
