import numpy as np
import pandas as pd
import pytest

from refit.monitoring.drawing import MAX_DRAWN, MAX_LABEL, SAMPLE, drawing, safe, sample
from refit.monitoring.profile import profile
from refit.monitoring.psi import drift


def drawn(reference, current, usecase, **scores):
    return drawing(reference, current, drift(profile(reference, usecase, **scores), current, usecase, **scores), seed=1)


def test_a_sample_is_bounded_and_the_same_for_the_same_seed(make_loans):
    frame = make_loans(SAMPLE + 500)

    one = sample(frame, seed=1)

    assert len(one) == SAMPLE
    assert one["_event_time"].is_monotonic_increasing
    assert one["_event_time"].is_unique
    assert one.equals(sample(frame, seed=1))
    assert not one.equals(sample(frame, seed=2))


def test_a_small_frame_is_drawn_whole(make_loans):
    assert len(sample(make_loans(500), seed=1)) == 500


def test_every_checked_column_is_drawn_as_float_or_category(usecase, make_loans):
    found = drawn(make_loans(500), make_loans(500, seed=1), usecase)

    assert list(found.shown) == ["amount", "share", "region", "purpose", "price", "sex"]
    assert {str(dtype) for dtype in found.current.dtypes} == {"float64", "category"}
    assert not found.not_drawn


def test_the_score_is_drawn_where_both_sides_hold_it(usecase, make_loans):
    frame = make_loans(500)
    frame["_score"] = np.linspace(0, 1, 500)

    found = drawn(frame, frame, usecase, score=frame["_score"].to_numpy())
    without = drawn(frame.drop(columns="_score"), frame, usecase, score=frame["_score"].to_numpy())

    assert "score" in found.shown
    assert without.not_drawn == {"score": "its records were not handed to the report"}


def test_one_outlier_does_not_flatten_the_chart(usecase, make_loans):
    current = make_loans(500)
    current.loc[3, "amount"] = 5e15

    found = drawn(make_loans(500), current, usecase)

    assert found.current["amount"].max() < 1e6


@pytest.mark.parametrize(
    "values", [1 + np.arange(500) % 2 * 2.0**-52, 1e16 + np.zeros(500)], ids=["a hair apart", "constant and huge"]
)
def test_numbers_that_no_histogram_can_part_are_left_out_and_named(usecase, make_loans, values):
    frame = make_loans(500)
    frame["amount"] = values

    found = drawn(frame, frame, usecase)

    assert found.not_drawn == {"amount": "its values lie too close together, for their size, to be drawn"}
    assert "amount" not in found.current


def test_a_column_with_hardly_a_value_is_left_out_and_named(usecase, make_loans):
    frame = make_loans(500)
    frame.loc[1:, "amount"] = np.nan

    assert drawn(frame, frame, usecase).not_drawn == {"amount": "too few values of it are in the sample"}


def test_rare_new_and_missing_values_are_drawn_under_what_they_are(usecase, make_loans):
    reference, current = make_loans(500), make_loans(500)
    reference["region"] = pd.Categorical([f"v{i % 40:02}" for i in range(500)])
    current["region"] = pd.Categorical(["v00", "v39", "new", None, "v00"] * 100)

    found = drawn(reference, current, usecase)

    assert len(found.reference["region"].cat.categories) == MAX_DRAWN + 1
    assert found.current["region"].value_counts().to_dict() == {
        "v00": 200,
        "(other)": 100,
        "(not in this reference sample)": 100,
        "(missing)": 100,
    }


def test_drawn_text_is_short_and_cannot_end_a_script():
    assert "<" not in safe("</script><script>alert(1)</script>")
    assert len(safe("a" * 1000)) == MAX_LABEL
    assert safe("\ud800").encode() == b"?"
