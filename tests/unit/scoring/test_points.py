import math

import pytest

from refit.scoring.points import band, points, points_of_log_odds, points_per_log_odds
from refit.usecase.policy import Score

SCORE = Score(base=600, base_odds=50, to_double=20, bands={"A": 640, "B": 600, "C": 560})


def p(odds: float) -> float:
    """Return P(bad) at so many good to one bad."""
    return 1 / (1 + odds)


def test_the_base_odds_get_the_base_points():
    assert points(p(50), SCORE) == pytest.approx(600)


@pytest.mark.parametrize(("odds", "expected"), [(100, 620), (200, 640), (25, 580), (50 / 8, 540)])
def test_points_to_double_double_the_odds(odds, expected):
    assert points(p(odds), SCORE) == pytest.approx(expected)


def test_a_likelier_default_has_fewer_points():
    scored = [points(probability, SCORE) for probability in (0.0, 1e-9, 0.01, 0.3, 0.99, 1.0)]
    assert scored == sorted(scored, reverse=True)
    assert all(map(math.isfinite, scored))


def test_log_odds_and_probability_agree():
    assert points_of_log_odds(math.log(0.2 / 0.8), SCORE) == pytest.approx(points(0.2, SCORE))
    assert points(0.2, SCORE) - points_of_log_odds(math.log(0.2 / 0.8) + 1, SCORE) == pytest.approx(
        points_per_log_odds(SCORE)
    )


@pytest.mark.parametrize(("scored", "expected"), [(700, "A"), (640, "A"), (639.99, "B"), (560, "C"), (559.99, None)])
def test_a_band_begins_at_its_least_points(scored, expected):
    assert band(scored, SCORE) == expected


def test_without_bands_there_is_none():
    assert band(700, Score()) is None
