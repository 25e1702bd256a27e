from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refit.store.releases import in_a_row
from refit.store.rows import ReleaseRow

histories = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["release", "rollback"])), max_size=12)


def played(history) -> list[ReleaseRow]:
    day = datetime(2003, 6, 30, tzinfo=UTC)
    return [
        ReleaseRow(usecase="sba", version=version, bento_tag=version, kind=kind, reason="", as_of=day, id=number)
        for number, (version, kind) in enumerate(history)
    ]


@given(histories)
def test_the_last_in_the_row_is_the_version_put_live_last(history):
    row = in_a_row(played(history))
    assert [one.version for one in row[-1:]] == [version for version, _ in history[-1:]]


@given(histories)
def test_one_never_goes_back_to_the_version_that_is_live(history):
    versions = [one.version for one in in_a_row(played(history))]
    assert all(older != newer for older, newer in pairwise(versions))


@given(histories)
def test_going_back_again_and_again_comes_to_an_end(history):
    rows = played(history)
    row = in_a_row(rows)
    for left in range(len(row) - 1, 0, -1):
        rows = [*rows, *played([(row[-2].version, "rollback")])]
        row = in_a_row(rows)
        assert len(row) == left
