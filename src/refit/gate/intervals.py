"""How much better one model is than another on the same records."""

import numpy as np

from refit.scoring.intervals import DRAWS, Interval, metric_interval, paired, statistics
from refit.scoring.metrics import LOWER_IS_BETTER, Floats

__all__ = ["Interval", "gain_interval", "metric_interval", "ranks_alike"]


def gain_interval(
    metric: str,
    label: Floats,
    challenger: Floats,
    champion: Floats,
    threshold: float = 0.5,
    *,
    seed: int,
    draws: int = DRAWS,
    champion_threshold: float | None = None,
) -> Interval:
    """Return the challenger's gain over the champion, above 0 where it is better, with its 95 % interval.

    Both are drawn on the same records at once, so that what is hard for both cancels out.

    Args:
        label: (n_records,) outcomes, or class indexes.
        challenger, champion: (n_records,) P(bad) of each; or (n_records, n_classes).
        threshold: From here up the challenger declines.
        champion_threshold: From here up the champion does; the challenger's where it is None.
    """
    line = threshold if champion_threshold is None else champion_threshold
    first = statistics(label, challenger, threshold)[metric]
    second = statistics(label, champion, line)[metric]
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    return paired(first, second, len(label), seed=seed, draws=draws, sign=sign)


def ranks_alike(first: Floats, second: Floats) -> bool:
    """Tell whether both put the records in the same order, so that no metric of ranks can tell them apart.

    Of several classes, whether they do so for each.

    Examples:
        >>> ranks_alike(np.array([0.1, 0.5, 0.3]), np.array([0.2, 0.9, 0.4]))
        True
    """
    if first.ndim > 1:
        return all(ranks_alike(one, other) for one, other in zip(first.T, second.T, strict=True))
    order = np.lexsort((first, second))
    return bool(np.all(np.diff(first[order]) >= 0))
