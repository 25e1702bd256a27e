from contextlib import nullcontext

import pytest

from refit.errors import ContractError
from refit.loop.retrain import retrain
from tests.unit.training.book import AS_OF, usecase


class NothingLive:
    """A ledger in which no model is live, and a world of no more than that: all else that is asked is an error."""

    @property
    def ledger(self):
        return self

    def retrain_lock(self, _usecase, _waiting):
        return nullcontext()

    def open_decisions(self, _usecase, _as_of):
        return []

    def live(self, _usecase, _as_of):
        return None


def test_without_a_champion_there_is_none_to_keep_and_nothing_is_trained_in_its_place():
    with pytest.raises(ContractError, match=r"none to recalibrate; train one with `refit retrain book`"):
        retrain(NothingLive(), usecase(), AS_OF, recalibrate=True)
