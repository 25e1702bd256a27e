import numpy as np
import pytest

from refit.errors import DataError
from refit.scoring.calibration import FLOOR, Calibrator, expit, logit

ISOTONIC = Calibrator("isotonic", (0.0, 0.2, 1.0), (0.1, 0.4, 0.6))
PLATT = Calibrator("platt", (), (2.0, -0.5))


@pytest.mark.parametrize("calibrator", [ISOTONIC, PLATT], ids=["isotonic", "platt"])
def test_a_calibrator_survives_json(calibrator):
    assert Calibrator.from_json(calibrator.to_json()) == calibrator


def test_knots_are_joined_by_straight_lines():
    assert ISOTONIC.apply(np.array([0.0, 0.1, 0.2, 0.6, 1.0])).tolist() == pytest.approx([0.1, 0.25, 0.4, 0.5, 0.6])


def test_platt_is_a_line_on_the_log_odds():
    raw = np.array([0.1, 0.5, 0.7])
    assert logit(PLATT.apply(raw)).tolist() == pytest.approx((2 * logit(raw) - 0.5).tolist())


@pytest.mark.parametrize("calibrator", [Calibrator("platt", (), (50.0, 0.0)), Calibrator("isotonic", (0, 1), (0, 1))])
def test_nothing_is_ever_certain(calibrator):
    assert calibrator.apply(np.array([0.0, 1.0])).tolist() == [FLOOR, 1 - FLOOR]


def test_log_odds_stay_finite():
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
    assert expit(np.array([-1e9, 0.0, 1e9])).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "platt", "x": [], "y": [1.0]},
        {"kind": "isotonic", "x": [0.1], "y": []},
        {"kind": "magic", "x": [0.1], "y": [0.2]},
    ],
    ids=["one number", "knots that do not pair", "unknown kind"],
)
def test_what_is_no_calibrator_is_refused(content):
    with pytest.raises(DataError, match=r"calibrator\.json"):
        Calibrator.from_json(content)
