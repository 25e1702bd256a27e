import threading
import warnings

import pytest

from refit.training.parallel import StoppedError, side_by_side, silenced


def test_results_come_in_the_order_of_the_fits():
    first_may_end = threading.Event()

    def slow(_step):
        assert first_may_end.wait(60)
        return "slow"

    def quick(_step):
        first_may_end.set()
        return "quick"

    assert side_by_side([slow, quick], lambda _: None) == ["slow", "quick"]


def test_progress_is_told_in_the_callers_thread():
    threads = set()
    side_by_side([lambda step: step(0.5)], lambda _: threads.add(threading.current_thread()))
    assert threads == {threading.current_thread()}


def test_one_that_fails_stops_the_others_and_its_error_comes_out():
    began, stopped = threading.Event(), threading.Event()

    def endless(step):
        began.set()
        try:
            while True:
                step(0.1)
        except StoppedError:
            stopped.set()
            raise

    def fails(_step):
        assert began.wait(60)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        side_by_side([endless, fails], lambda _: None)
    assert stopped.is_set()


def test_a_librarys_warnings_are_kept_from_the_caller_and_come_back_afterwards():
    side_by_side([lambda _: warnings.warn("chatter", stacklevel=1)], lambda _: None)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_a_warning_is_shown_to_nobody_though_another_thread_reset_the_filters():
    with warnings.catch_warnings(record=True) as seen:
        with silenced():
            warnings.resetwarnings()  # as scikit-learn's forests do for every tree
            warnings.warn("loud", stacklevel=1)
        assert seen == []
