"""How sure a share is: the interval that every share on a page is shown with."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Z: Final = 1.959963984540054
"""Of the normal distribution, 95 % lies within so many deviations."""


def wilson(count: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of `count / n`; 0 and 1 where n is 0. Wilson 1927, JASA 22, 209 to 212.

    Examples:
        >>> low, high = wilson(10, 100)
        >>> round(float(low), 4), round(float(high), 4)
        (0.0552, 0.1744)
    """
    counts, whole = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    size = np.maximum(whole, 1.0)
    share, z2 = counts / size, Z**2
    middle = (share + z2 / (2 * size)) / (1 + z2 / size)
    reach = Z / (1 + z2 / size) * np.sqrt(share * (1 - share) / size + z2 / (4 * size * size))
    # of none and of all the ends are exact; rounding must not put the share outside of its interval
    low = np.where(whole > 0, np.clip(middle - reach, 0.0, share), 0.0)
    return low, np.where(whole > 0, np.clip(middle + reach, share, 1.0), 1.0)
