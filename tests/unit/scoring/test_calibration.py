import numpy as np
import pytest

from refit.errors import DataError
from refit.scoring.calibration import FLOOR, Calibrator, ClassCalibrator, calibrator_from_json, expit, logit

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


OF_CLASSES = {
    "identity": ClassCalibrator("identity"),
    "temperature": ClassCalibrator("temperature", (), ((0.5,),)),
    "vector": ClassCalibrator("vector", (), ((1.0, 2.0, 0.5), (0.1, -0.3, 0.0))),
    "one_vs_rest": ClassCalibrator("one_vs_rest", ((0.0, 1.0),) * 3, ((0.1, 0.9), (0.2, 0.8), (0.0, 0.5))),
}
RAW = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("kind", OF_CLASSES)
def test_a_calibrator_of_classes_survives_json_and_its_rows_sum_to_one(kind):
    calibrator = OF_CLASSES[kind]
    again = calibrator_from_json(calibrator.to_json())
    assert again == calibrator
    found = again.apply(RAW)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (found > 0).all()
    assert [again.apply(RAW[[row]])[0].tolist() for row in range(3)] == found.tolist()
    assert again.apply(RAW[:0]).shape == (0, 3)


def test_a_temperature_is_a_power_of_each_probability():
    expected = np.sqrt(RAW[0]) / np.sqrt(RAW[0]).sum()
    assert OF_CLASSES["temperature"].apply(RAW)[0].tolist() == pytest.approx(expected.tolist())


def test_of_two_classes_the_calibrator_is_read_as_before():
    assert calibrator_from_json(PLATT.to_json()) == PLATT


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "identity", "x": [], "y": [[1.0]]},
        {"kind": "temperature", "x": [], "y": []},
        {"kind": "vector", "x": [], "y": [[1.0, 1.0], [0.0]]},
        {"kind": "one_vs_rest", "x": [[0.0]], "y": [[0.0], [1.0]]},
    ],
    ids=lambda content: content["kind"],
)
def test_what_is_no_calibrator_of_classes_is_refused(content):
    with pytest.raises(DataError, match=r"calibrator\.json"):
        calibrator_from_json(content)
