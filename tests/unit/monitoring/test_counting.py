import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refit.monitoring.counting import CHUNK, count_codes, count_numbers

EDGES = st.lists(st.floats(-100, 100), max_size=9, unique=True).map(lambda edges: tuple(sorted(edges)))


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(allow_nan=True, allow_infinity=True)), EDGES)
def test_counts_are_those_of_searchsorted_and_bincount(values, edges):
    counts, missing = count_numbers(values, edges)

    finite = values[np.isfinite(values)]
    expected = np.bincount(np.searchsorted(edges, finite, side="left"), minlength=len(edges) + 1)
    assert counts.tolist() == expected.tolist()
    assert missing == len(values) - len(finite)


def test_columns_longer_than_a_chunk_are_counted_whole():
    values = np.arange(3 * CHUNK + 7, dtype=np.float64)
    values[[0, CHUNK, 3 * CHUNK]] = np.nan, np.inf, -np.inf

    counts, missing = count_numbers(values, (CHUNK - 1.0, 2 * CHUNK))

    assert counts.tolist() == [CHUNK - 1, CHUNK, CHUNK + 5]
    assert missing == 3


def test_a_column_of_a_matrix_is_counted_like_one_of_its_own():
    matrix = np.random.default_rng(0).normal(size=(1000, 3))

    assert count_numbers(matrix[:, 1], (0.0,))[0].tolist() == count_numbers(matrix[:, 1].copy(), (0.0,))[0].tolist()


def test_a_float32_column_does_not_round_the_edges():
    just_above = np.array([0.1], dtype=np.float32)  # as float64 it is 0.10000000149

    assert count_numbers(just_above, (0.1,))[0].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.bool_])
def test_whole_numbers_of_any_width_are_counted(dtype):
    assert count_numbers(np.array([0, 1, 1], dtype=dtype), (0.0,))[0].tolist() == [1, 2]


@given(hnp.arrays(np.int8, st.integers(0, 60), elements=st.integers(-1, 126)))
def test_codes_are_counted_with_missing_apart(codes):
    counts, missing = count_codes(codes, 127)

    assert counts.tolist() == [int((codes == code).sum()) for code in range(127)]
    assert missing == int((codes == -1).sum())
