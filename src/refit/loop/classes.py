"""What a champion says, in the classes of today's use case: these may stand in another order since, or be others."""

from refit.scoring.metrics import Floats
from refit.usecase.model import UseCase


def in_todays_classes(probability: Floats, own: UseCase, usecase: UseCase) -> Floats | None:
    """Return a champion's probabilities with their columns in today's order; None where it tells other classes apart.

    Args:
        probability: (n_records, n_classes) in the order of the champion's own use case; (n_records,) of a binary one.
        own: The champion's.
        usecase: Today's, whose order the label indexes follow.
    """
    if own.classes == usecase.classes:
        return probability
    if own.classes is None or usecase.classes is None or set(own.classes) != set(usecase.classes):
        return None
    return probability[:, [own.classes.index(name) for name in usecase.classes]]
