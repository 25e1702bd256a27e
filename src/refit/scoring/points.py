"""Points from the calibrated odds, the way scorecards are read: more are better, and so many double the odds."""

import math

from refit.scoring.calibration import FLOOR
from refit.usecase.policy import Score


def points(probability: float, score: Score) -> float:
    """Return the points of a calibrated P(bad), unrounded.

    Siddiqi 2006, Credit Risk Scorecards, chapter 6, Scaling: offset + factor * ln(good / bad).

    Examples:
        >>> round(points(1 / 51, Score(base=600, base_odds=50, to_double=20)), 6)
        600.0
        >>> round(points(1 / 101, Score(base=600, base_odds=50, to_double=20)), 6)
        620.0
    """
    held = min(max(probability, FLOOR), 1 - FLOOR)
    return points_of_log_odds(math.log(held) - math.log1p(-held), score)


def points_of_log_odds(log_odds: float, score: Score) -> float:
    """Return the points of the log odds of bad against good."""
    return score.base - points_per_log_odds(score) * (log_odds + math.log(score.base_odds))


def points_per_log_odds(score: Score) -> float:
    """Return how many points one unit of log odds costs."""
    return score.to_double / math.log(2)


def band(scored: float, score: Score) -> str | None:
    """Return the best band whose least points are reached; None where there is none.

    Examples:
        >>> score = Score(bands={"A": 620, "B": 580})
        >>> band(620.0, score), band(619.9, score), band(500.0, score)
        ('A', 'B', None)
    """
    return next((name for name, least in score.bands.items() if scored >= least), None)
