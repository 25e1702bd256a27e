"""What the figures say, in sentences, what matters most first."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from refit.drawing.page import number
from refit.portfolio.association import Association, beyond_chance
from refit.portfolio.book import Book
from refit.portfolio.groups import Groups
from refit.portfolio.oddities import Described
from refit.portfolio.rates import Rates, Vintage
from refit.portfolio.segments import Segment, two_shares

MUCH_MISSING: Final = 0.05
CHANCE: Final = 0.05
"""The most that all comparisons of a kind together may find where there is nothing (Bonferroni)."""
NOTICED: Final = 0.53
"""A lower AUC is nothing a lender would notice."""
FEW: Final = 50
"""A vintage in which fewer outcomes are known is neither the best nor the worst: its share says too little."""


def share(value: float, decimals: int = 1) -> str:
    """Return a share as it stands in a sentence; one that is small without being none says so.

    Examples:
        >>> share(0.0423), share(0.00012), share(1.0)
        ('4.2 %', '0.01 %', '100 %')
    """
    percent = value * 100
    if percent in (0, 100):
        return f"{percent:.0f} %"
    return f"{percent:.{decimals if 0.1 <= percent <= 99.9 else max(decimals, 2)}f} %"  # noqa: PLR2004


def span(value: float, low: float, high: float) -> str:
    """Return a share and its interval, in as many digits as tell its ends apart.

    Examples:
        >>> span(0.042, 0.038, 0.046), span(0.0071, 0.0069, 0.0073)
        ('4.2 %, 3.8 to 4.6 %', '0.71 %, 0.69 to 0.73 %')
    """
    decimals = next((places for places in (1, 2) if f"{low:.{places + 2}f}" != f"{high:.{places + 2}f}"), 3)
    ends = f"{share(low, decimals).removesuffix(' %')} to {share(high, decimals)}"
    return f"{share(value, decimals)}, {ends}"


def rate(book: Book, name: str, value: float, low: float, high: float, n: int) -> str:
    """Return what happens how often, with its interval: `go bad 4.2 % of the time, 3.8 to 4.6`."""
    verb = "go bad" if book.outcome.binary else f"are of class {name}"
    middle, ends = span(value, low, high).split(", ")
    return f"{verb} {middle} of the time, {ends} (of {n:,})"


def told(book: Book, segment: Segment) -> str:
    """Return a group's sentence."""
    text = rate(book, segment.outcome, segment.share, segment.low, segment.high, segment.n)
    factor = f"{number(segment.times, 1)} times" if segment.times >= 0.1 else "under a tenth of"  # noqa: PLR2004
    return f"Records with {segment.phrase} {text}: {factor} the share of all."


def of_all(book: Book, overall: Rates | None) -> Iterator[str]:
    """Say how many records there are, and what came of those that are known."""
    outcome, known = book.outcome, int(book.outcome.known.sum())
    if overall is None:
        yield f"{book.n:,} records are there, and no outcome is known for good yet: nothing can be said of who pays."
    elif outcome.binary:
        hits, low, high = int(overall.hits[0, 0]), overall.low[0, 0], overall.high[0, 0]
        yield (
            f"Of {book.n:,} records the outcome of {known:,} is known for good; {hits:,} of them went bad: "
            f"{span(overall.share[0, 0], low, high)}."
        )
    else:
        parts = ", ".join(f"{name} {share(overall.share[0, k])}" for k, name in enumerate(outcome.names))
        yield f"Of {book.n:,} records the class of {known:,} is known: {parts}."
    if outcome.early:
        yield (
            f"{outcome.early:,} more outcomes are known early, of vintages that are not final: they are shown as bad "
            "so far and left out of every rate, as counting them alone would overstate the risk."
        )


def of_vintages(book: Book, found: Sequence[Vintage]) -> Iterator[str]:
    """Say which vintages were best and worst, and which are not to be read yet."""
    ripe = [one for one in found if one.ripe and one.n_known >= FEW]
    if book.outcome.binary and len(ripe) > 1:
        worst, best = max(ripe, key=_bad_share), min(ripe, key=_bad_share)
        if _chance(worst, best) * math.comb(len(ripe), 2) <= CHANCE:
            yield (
                f"Records of {worst.name}, the worst vintage, {_of_vintage(book, worst)}; "
                f"those of {best.name}, the best, {_of_vintage(book, best)}."
            )
    open_ones = [one for one in found if not one.ripe]
    if open_ones:
        yield (
            f"{len(open_ones)} of {len(found)} vintages are not final yet ({open_ones[0].name} to "
            f"{open_ones[-1].name}): "
            "what is bad so far says little, and does not make the others good."
        )


def _bad_share(one: Vintage) -> float:
    return one.share[0] if one.share is not None else 0.0


def _chance(one: Vintage, other: Vintage) -> float:
    n, other_n = one.n_known, other.n_known
    return two_shares(round(_bad_share(one) * n), n, round(_bad_share(other) * other_n), other_n)


def _of_vintage(book: Book, one: Vintage) -> str:
    return rate(book, "bad", _bad_share(one), one.low[0], one.high[0], one.n_known)


def contrast(book: Book, groups: Groups, found: Rates, least: float, n_columns: int) -> str | None:
    """Say between which groups of a column the outcome differs most; None where no two differ for certain.

    Args:
        least: Records a group needs to be named.
        n_columns: How many columns are looked at: the more, the further two groups come to lie apart by chance.
    """
    named = [g for g in range(len(groups.labels)) if g not in groups.apart and found.n[g] >= least]
    if len(named) < 2:  # noqa: PLR2004 - a contrast has two sides
        return None
    spread = [found.share[named, k].max() - found.share[named, k].min() for k in range(len(book.outcome.names))]
    k = int(np.argmax(spread))
    high = max(named, key=lambda g: found.share[g, k])
    low = min(named, key=lambda g: found.share[g, k])
    chance = two_shares(found.hits[high, k], found.n[high], found.hits[low, k], found.n[low])
    if chance * n_columns * math.comb(len(named), 2) > CHANCE:
        return None
    name = book.outcome.names[k]
    first, second = (
        f"{groups.phrases[g]} {rate(book, name, found.share[g, k], found.low[g, k], found.high[g, k], int(found.n[g]))}"
        for g in (high, low)
    )
    return f"Records with {first}; those with {second}."


def of_strength(book: Book, associations: Sequence[Association]) -> Iterator[str]:
    """Say which columns tell most of the outcome, or that none does."""
    if not associations:
        return
    least = max(NOTICED, beyond_chance(book.outcome, len(associations)))
    strong = [one for one in associations if one.auc >= least]
    if not strong:
        yield (
            f"No column alone tells the outcome for certain: the best reaches an AUC of {associations[0].auc:.3f}, and "
            f"of {len(associations)} columns that tell nothing one reaches {min(least, 1.0):.3f} now and then."
        )
        return
    named = ", ".join(f"{book.columns[one.column].noun} ({one.auc:.3f})" for one in strong[:5])
    yield f"What tells most of the outcome, each column alone, by AUC (0.5 is nothing): {named}."


def of_quality(book: Book, columns: Sequence[Described]) -> Iterator[str]:
    """Say what is missing, twice there, or odd."""
    if book.duplicates:
        pairs = "1 pair of records is" if book.pairs == 1 else f"{book.pairs:,} pairs of records are"
        how = "a random split would test on what was learned" if book.event is not None else (
            "a copy, or, without a date, chance"
        )  # fmt: skip
        yield f"{pairs} equal in everything but the key ({share(2 * book.pairs / book.n)} of all records): {how}."
    gaps = sorted((c for c in columns if c.missing_share >= MUCH_MISSING), key=lambda c: -c.missing_share)
    if gaps:
        named = ", ".join(f"{book.columns[gap.name].noun} ({share(gap.missing_share)})" for gap in gaps[:6])
        more = f", and {len(gaps) - 6} more" if len(gaps) > 6 else ""  # noqa: PLR2004
        yield f"Often missing: {named}{more}."
