import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.portfolio.association import cramers_v, information_value
from refit.portfolio.segments import Segment, _Cell, _not_chance, two_shares


def test_information_value_is_that_computed_by_hand():
    bad, good = np.array([10.0, 30.0]), np.array([90.0, 70.0])
    b, g = np.array([10.5, 30.5]) / 41, np.array([90.5, 70.5]) / 161
    assert information_value(bad, good) == pytest.approx(((g - b) * np.log(g / b)).sum())


def test_groups_alike_have_no_information():
    assert information_value(np.array([500.0, 500.0]), np.array([4000.0, 4000.0])) == 0
    assert cramers_v(np.array([[50.0, 50.0], [500.0, 500.0]])) == 0


def test_groups_that_give_each_other_away_have_a_v_of_one():
    assert cramers_v(np.array([[500.0, 0.0, 0.0], [0.0, 300.0, 0.0], [0.0, 0.0, 200.0]])) == pytest.approx(1, abs=1e-9)


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=1, max_size=5))
def test_v_lies_between_nothing_and_all_whatever_the_counts(rows):
    counts = np.array(rows, dtype=float)
    assert 0 <= cramers_v(counts) <= 1
    assert cramers_v(counts.T) == pytest.approx(cramers_v(counts))


def test_two_shares_are_told_apart_as_the_pooled_test_does():
    # z = (0.3 - 0.2) / sqrt(0.25 * 0.75 * 0.02) = 1.633
    assert two_shares(30, 100, 20, 100) == pytest.approx(0.10247, abs=1e-4)
    assert two_shares(0, 50, 0, 50) == 1


def test_of_many_groups_only_those_past_the_rising_line_are_told():
    # Benjamini and Hochberg at 1 %: of five, the line is 0.002, 0.004, 0.006, 0.008, 0.01
    cells = [_Cell(Segment(str(p), ("a",), "bad", 100, 10, 0.1, 0.05, 0.2, 2.0), p, frozenset())
             for p in (0.9, 0.0055, 0.001, 0.0045, 0.02)]  # fmt: skip
    assert [cell.segment.phrase for cell in _not_chance(cells)] == ["0.0055", "0.001", "0.0045"]
    assert _not_chance([]) == []
