"""What the gate looks at beside probabilities: the records themselves, the bundle, and what was measured of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refit.gate.alone import Features, Rows
from refit.scoring.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that training left behind.

    Args:
        bundle: The challenger.
        matured: (n_matured, n_columns) the distinct matured records, oldest first.
        before: Rows of `matured` that were learnt from.
        test: Rows of `matured` that were tested on, in the order of the judged probabilities.
        fresh: Records that have not matured yet, where there are some.
        n_pairs: How many records stood two and two, equal in all but their key.
        n_left_out: How many of these were left out before training.
        latency_ms: How much processor time one record takes, measured outside.
    """

    bundle: Bundle
    matured: pd.DataFrame
    before: Rows
    test: Rows
    fresh: pd.DataFrame | None = None
    n_pairs: int = 0
    n_left_out: int = 0
    latency_ms: float | None = None

    @property
    def tested(self) -> pd.DataFrame:
        """The test records."""
        return self.matured.iloc[self.test]

    def features(self) -> Features:
        """Return the matured records as the bundle's encoder gives them."""
        usecase, encoder = self.bundle.usecase, self.bundle.encoder
        event = self.matured["_event_time"]
        return Features(
            names=encoder.features,
            matrix=encoder.encode({name: self.matured[name].to_numpy() for name in encoder.features}),
            label=self.matured["_label"].to_numpy(dtype=np.float64),
            n_classes=len(usecase.classes or ("good", "bad")),
            before=self.before,
            test=self.test,
            days=None
            if usecase.event_time is None
            else ((event - event.min()) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64),
            equal=self._hashes(),
        )

    def _hashes(self) -> NDArray[np.uint64]:
        usecase = self.bundle.usecase
        names = dict.fromkeys([*usecase.features, *usecase.inputs, *usecase.protected, "_label"])
        dated = [] if usecase.event_time is None else ["_event_time"]
        held = [*(name for name in names if name in self.matured), *dated]
        return np.asarray(pd.util.hash_pandas_object(self.matured[held], index=False), dtype=np.uint64)
