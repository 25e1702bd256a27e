import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refit.monitoring import profile as profile_module
from refit.monitoring.columns import Categories, UnsupportedError, categories, numbers, watched
from refit.monitoring.profile import CategoryProfile, NumberProfile, Profile, category_profile, number_profile, profile

NUMBERS = hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(allow_nan=True, allow_infinity=True))
TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=3)), min_size=1, max_size=50)


def of(values) -> CategoryProfile:
    return category_profile(categories(pd.Series(pd.Categorical(values))))


def test_distinct_numbers_are_binned_into_ten_equal_parts():
    found = number_profile(np.random.default_rng(0).permutation(1000).astype(float))

    assert found.counts == (100,) * 10


def test_a_constant_column_tells_below_from_above():
    found = number_profile(np.full(50, 7.0))

    assert found.counts == (0, 50, 0)
    assert found.binned_current(np.array([6.0, 7.0, 8.0, 9.0])).tolist() == [1, 1, 2, 0]
    assert found.labels() == ["up to 7", "exactly 7", "above 7", "missing"]


def test_a_common_value_has_a_bin_of_its_own():
    found = number_profile(np.array([0.0] * 60 + list(range(1, 41))))

    assert 60 in found.counts
    assert "exactly 0" in found.labels()


def test_numbers_out_of_range_fall_into_the_outer_bins():
    found = number_profile(np.arange(100.0))

    current = found.binned_current(np.array([-1e300, 1e300]))

    assert current.tolist() == [1, *[0] * 8, 1, 0]


def test_infinite_numbers_are_missing():
    found = number_profile(np.array([1.0, np.inf, -np.inf, np.nan]))

    assert found.missing == 3
    assert found.n == 4


def test_the_most_common_values_are_kept_and_the_rest_pooled():
    values = [f"v{i:03}" for i in range(300) for _ in range(2 if i < 250 else 1)]

    found = of(values)

    assert len(found.counts) == profile_module.MAX_VALUES
    assert found.other == 2 * 50 + 50
    assert found.once == 50


def test_a_rare_value_of_the_reference_is_not_new_but_an_unknown_one_is():
    found = of([f"v{i:03}" for i in range(300)])

    binned = found.binned_current(Categories(np.array([0, 1, 1, -1]), ("v299", "never seen")))

    assert found.labels()[-3:] == ["rare values", "values never seen before", "missing"]
    assert binned[-3:].tolist() == [1, 2, 1]


def test_where_there_are_too_many_values_to_remember_none_is_called_new(monkeypatch):
    monkeypatch.setattr(profile_module, "MAX_RARE", 10)
    found = of([f"v{i:03}" for i in range(300)])

    assert found.rare is None
    assert found.unseen_expected is None
    assert found.binned_current(Categories(np.array([0]), ("never seen",)))[-3:].tolist() == [1, 0, 0]


def test_chance_brings_as_many_new_values_as_were_seen_once():
    assert of(["a", "a", "b", "c", None]).unseen_expected == 0.5


@given(NUMBERS)
def test_every_number_is_counted_once_and_edges_rise(values):
    found = number_profile(values)

    assert found.n == len(values)
    assert list(found.edges) == sorted(set(found.edges))
    assert all(np.isfinite(found.edges))
    assert len(found.edges) <= 9
    assert found.binned_current(values).tolist() == found.binned().tolist()


@given(TEXTS)
def test_every_value_is_counted_once(values):
    found = of(values)

    assert found.n == len(values)
    assert found.binned_current(categories(pd.Series(pd.Categorical(values)))).tolist() == found.binned().tolist()


@given(NUMBERS, TEXTS, st.booleans())
def test_a_profile_survives_its_json(values, texts, scored):
    columns = {"x": number_profile(values), "y": of(texts)}
    before = Profile(len(values), columns, number_profile(values) if scored else None)

    assert Profile.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False))) == before


def test_order_of_records_and_of_categories_does_not_matter(usecase, make_loans):
    frame = make_loans(500)
    shuffled = frame.sample(frac=1, random_state=1)
    shuffled["region"] = shuffled["region"].cat.reorder_categories(["west", "north", "south"])
    shuffled["region"] = shuffled["region"].cat.add_categories(["never used"])

    assert json.dumps(profile(shuffled, usecase).to_json()) == json.dumps(profile(frame, usecase).to_json())


def test_equally_common_values_are_ordered_by_name():
    one, other = (pd.Series(pd.Categorical(["b", "a"], categories=order)) for order in (["a", "b"], ["b", "a"]))

    assert list(category_profile(categories(one)).counts) == ["a", "b"]
    assert list(category_profile(categories(other)).counts) == ["a", "b"]


def test_every_column_of_the_contract_is_profiled_with_the_score(usecase, make_loans):
    found = profile(make_loans(500), usecase, np.linspace(0, 1, 500))

    assert list(found.columns) == ["amount", "share", "region", "purpose", "price", "sex"]
    assert isinstance(found.columns["share"], NumberProfile)
    assert found.score is not None
    assert found.n_records == 500


def test_absent_and_unsupported_columns_have_no_profile(usecase, make_loans):
    frame = make_loans(500).drop(columns="share")
    frame["amount"] = frame["amount"].astype(str)

    assert {"share", "amount"}.isdisjoint(profile(frame, usecase).columns)


def test_an_empty_frame_has_an_empty_profile(usecase, make_loans):
    found = profile(make_loans(0), usecase)

    assert found.n_records == 0
    assert all(column.n == 0 for column in found.columns.values())


def test_roles_are_told_apart(usecase):
    assert {name: column.role for name, column in watched(usecase).items()} == {
        "amount": "feature",
        "share": "feature",
        "region": "feature",
        "purpose": "feature",
        "price": "operand",
        "sex": "protected",
    }


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int32", "boolean", "float32"])
def test_numbers_of_other_types_are_read_as_such(dtype):
    column = pd.Series([0, 1, 1]).astype(dtype)

    assert numbers(column).astype(float).tolist() == [0.0, 1.0, 1.0]


def test_text_is_no_number_and_a_number_no_category():
    with pytest.raises(UnsupportedError, match="a number by contract, but held as str"):
        numbers(pd.Series(["1", "2"]))
    with pytest.raises(UnsupportedError, match="a category by contract, but held as float64"):
        categories(pd.Series([1.0, 2.0]))


def test_plain_text_is_read_as_a_category():
    found = categories(pd.Series(["b", None, "a"], dtype="str"))

    assert found.texts == ("a", "b")
    assert found.codes.tolist() == [1, -1, 0]
