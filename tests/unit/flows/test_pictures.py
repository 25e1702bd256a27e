import base64
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from flows.pictures import SHOWN_COLUMNS, SHOWN_RUNS, psi_picture


def decision(day, **psi):
    columns = [{"column": name, "psi": value} for name, value in psi.items()]
    return SimpleNamespace(as_of=datetime(2026, 3, day, tzinfo=UTC), drift={"columns": columns, "score": None})


def test_it_is_a_png_with_its_meaning_in_words():
    text = psi_picture([decision(18, income=0.3, age=0.02), decision(17, income=0.05, age=0.01)], 0.1, 0.25)
    picture = base64.b64decode(text.split("base64,")[1].split(")")[0])
    assert picture.startswith(b"\x89PNG")
    assert "2 runs, 2026-03-17 to 2026-03-18: `income` at most 0.300; `age` at most 0.020" in text


def test_the_same_runs_give_the_same_picture():
    runs = [decision(18, income=0.3), decision(17, income=0.05)]
    assert psi_picture(runs, 0.1, 0.25) == psi_picture(runs, 0.1, 0.25)
    assert psi_picture(runs, 0.1, 0.25) != psi_picture(runs, 0.1, 0.5)


def test_a_run_that_checked_nothing_and_a_column_that_was_not_checked_are_left_out():
    unchecked = SimpleNamespace(as_of=datetime(2026, 3, 19, tzinfo=UTC), drift=None)
    text = psi_picture([unchecked, decision(18, income=0.3, age=None)], 0.1, 0.25)
    assert "1 runs" in text
    assert "`age`" not in text
    assert psi_picture([unchecked], 0.1, 0.25) is None


@pytest.mark.parametrize(("runs", "columns"), [(SHOWN_RUNS + 5, 3), (2, SHOWN_COLUMNS + 15)])
@pytest.mark.slow
def test_however_much_there_is_it_stays_small_enough_for_a_page(runs, columns):
    names = {f"column_{place}": place / 100 for place in range(columns)}
    text = psi_picture([decision(1 + run % 28, **names) for run in range(runs)], 0.1, 0.25)
    assert len(text) < 400_000
    assert f"last {min(runs, SHOWN_RUNS)} runs" in text
