import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.drawing import charts
from refit.drawing.charts import Line, Spot
from refit.drawing.page import number
from refit.drawing.shares import wilson

SPOTS = [Spot("a < b & $c$ 中", 0.2, 0.1, 0.3), Spot("d", 0.0, 0.0, 0.1, quiet=True)]
CHARTS = {
    "lines": lambda: charts.lines("n", "T", "text", [Line("a", [0, 1], [0, 1])], x="x", y="y", diagonal=True),
    "calibration": lambda: charts.calibration("n", "T", "text", [("a", [(0.2, SPOTS[0])])]),
    "columns": lambda: charts.columns("n", "T", "text", ["1", "2"], [("a", [0.5, 0.5])], x="x", y="y"),
    "spots": lambda: charts.spots("n", "T", "text", SPOTS, x="x", overall=0.15),
    "bars": lambda: charts.bars("n", "T", "text", [("a", 0.1), ("b", -0.2)], x="x"),
    "over time": lambda: charts.over_time("n", "T", "text", SPOTS, [10, 20], y="y", quiet="open"),
    "grid": lambda: charts.grid("n", "T", "text", ["r"], ["a", "b"], [[0.1, 0.9]]),
    "no spots": lambda: charts.spots("n", "T", "text", [], x="x"),
    "no bars": lambda: charts.bars("n", "T", "text", [], x="x"),
}  # fmt: skip


@pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)
def test_a_picture_is_sound_and_the_same_every_time(draw):
    svg = draw()
    assert svg == draw()
    root = ET.fromstring(svg)  # noqa: S314 - made here
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {child.tag.rpartition("}")[2] for child in root} >= {"title", "desc"}
    assert "<script" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg


def test_a_label_stands_as_it_is_written():
    svg = CHARTS["spots"]()
    assert "a &lt; b &amp; $c$ 中" in svg


def test_ids_of_two_pictures_never_meet():
    first = charts.spots("one", "T", "text", SPOTS, x="x", overall=0.15)
    second = charts.spots("two", "T", "text", SPOTS, x="x", overall=0.15)
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) <= own


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_an_interval_holds_its_share_and_lies_in_0_to_1(a, b):
    count, n = min(a, b), max(a, b)
    low, high = wilson(count, n)
    assert 0 <= low <= (count / n if n else 0.5) <= high <= 1


def test_many_intervals_are_those_of_each():
    low, high = wilson(np.array([0, 5, 10]), np.array([10, 10, 10]))
    assert low[0] == 0
    assert high[2] == 1
    assert (low[1], high[1]) == pytest.approx((0.2366, 0.7634), abs=1e-4)


@pytest.mark.parametrize(("value", "text"), [(-1234.5, "-1,234.5"), (0.00004, "4e-05"), (1e18, "1e+18"), (0.0, "0")])
def test_a_figure_is_written_as_it_is_read(value, text):
    assert number(value) == text
