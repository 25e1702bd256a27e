import dataclasses
from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from refit.store.releases import in_a_row, to_go_back_to
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


def test_a_release_that_was_rolled_back_to_and_refused_is_passed_over_the_next_time():
    rows = played([("A", "release"), ("B", "release"), ("C", "release")])
    assert [one.version for one in to_go_back_to(rows)] == ["B", "A"]
    (back,) = played([("B", "rollback")])
    rows += [dataclasses.replace(back, id=3), dataclasses.replace(back, id=4, kind="refused", refuses=3)]
    assert [one.version for one in to_go_back_to(rows)] == ["A", "B"]


@given(histories, st.data())
def test_whatever_is_refused_going_back_never_meets_what_is_live_and_tries_all_before_it_tries_one_again(history, data):
    rows, refused = played(history), []
    for _ in range(8):
        if not (earlier := to_go_back_to(rows)):
            break
        nearest = earlier[0]
        assert nearest.version != next(one.version for one in reversed(rows) if _was_live(one, rows))
        if nearest.version in refused:
            assert {one.version for one in earlier} <= set(refused)
            assert nearest.version == next(one for one in refused if one in {each.version for each in earlier})
        rows.append(dataclasses.replace(nearest, id=len(rows), kind="rollback"))
        refused = [version for version in refused if version != nearest.version]
        if data.draw(st.booleans()):
            refused.append(nearest.version)
            rows.append(dataclasses.replace(nearest, id=len(rows), kind="refused", refuses=rows[-1].id))


def _was_live(one: ReleaseRow, rows: list[ReleaseRow]) -> bool:
    return one.kind != "refused" and one.id not in {other.refuses for other in rows}
