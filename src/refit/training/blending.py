"""The best few models as one, where their average is clearly nearer to the truth than the best alone.

An average of log odds is never further off in log loss than its members are on average, and less the more they differ.
On two splits each a boosted model and a forest together came .006 nearer than the better of the two on the customer
segmentation, and .0015 on loantap.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

from refit.scoring.blend import BlendModel, mixed
from refit.scoring.metrics import Floats, evaluate
from refit.training.calibration import platt, temperature
from refit.training.crossfit import Config, CrossFitted
from refit.training.learners.fitted import Fitted

NAME: Final = "blend"
MOST: Final = 3
"""So many models at most answer for each record."""
LEAST_GAIN: Final = 0.001
"""By such a share at least a blend must lower the log loss: one model is explained and served more simply."""


def blended(configs: Sequence[Config], crossed: Sequence[CrossFitted], label: Floats) -> CrossFitted | None:
    """Return the average of the two or three that together say best what was held out; None where one does as well.

    Args:
        configs: What each was fitted from.
        crossed: The fitted models, and what each says of the same records, held out.
        label: (n_records,) how those ended.
    """
    if len(crossed) < 2:  # noqa: PLR2004 - nothing to mix
        return None
    groups = [group for size in range(1, MOST + 1) for group in combinations(range(len(crossed)), size)]
    said = {group: mixed([crossed[place].held_out for place in group]) for group in groups}
    losses = {group: _loss(said[group], label) for group in groups}
    best = min(groups, key=lambda group: losses[group])
    alone = min(loss for group, loss in losses.items() if len(group) == 1)
    if losses[best] > alone * (1 - LEAST_GAIN):
        return None
    members = [(configs[place], crossed[place].fitted) for place in best]
    return CrossFitted(_together(members), said[best])


def _loss(raw: Floats, label: Floats) -> float:
    fit = temperature if raw.ndim > 1 else platt
    return evaluate("log_loss", label, fit(raw, label).apply(raw))


def _together(members: Sequence[tuple[Config, Fitted]]) -> Fitted:
    params: dict[str, Any] = {}
    for number, (config, fitted) in enumerate(members, 1):
        own = fitted.params if config.balancing == "none" else {**fitted.params, "balancing": config.balancing}
        params |= {f"{number} {config.learner}.{name}": value for name, value in own.items()}
    shares = [fitted.importance for _, fitted in members]
    importance = {name: sum(share[name] for share in shares) / len(shares) for name in shares[0]}
    names = ", ".join(config.learner.replace("_", " ") for config, _ in members)
    notes = dict.fromkeys(
        [f"blend: the average log odds of {names}", *(note for _, fitted in members for note in fitted.notes)]
    )
    return Fitted(BlendModel(tuple(fitted.model for _, fitted in members)), params, importance, tuple(notes))
