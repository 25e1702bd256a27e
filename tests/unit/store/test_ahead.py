from itertools import count
from threading import enumerate as threads

import pytest

from refit.store.ahead import AHEAD, reading_ahead


def test_the_items_come_in_their_order():
    with reading_ahead(iter(range(100))) as items:
        assert list(items) == list(range(100))


def test_what_breaks_the_source_is_raised_where_the_items_are_used():
    def broken():
        yield 1
        raise ConnectionError("gone")

    with reading_ahead(broken()) as items:
        assert next(items) == 1
        with pytest.raises(ConnectionError, match="gone"):
            next(items)


def test_no_thread_outlives_the_block_when_the_reader_stops_early():
    fetched = []
    with reading_ahead(fetched.append(n) or n for n in count()) as items:
        assert next(items) == 0
    assert not [thread for thread in threads() if thread.name == "reading ahead"]
    assert len(fetched) <= AHEAD + 3


def test_an_empty_source_ends_at_once():
    with reading_ahead(iter(())) as items:
        assert list(items) == []
