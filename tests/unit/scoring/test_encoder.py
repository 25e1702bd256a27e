import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.errors import DataError
from refit.scoring.encoder import LARGEST, MANY, Encoder
from tests.unit.training.book import as_inputs, book, usecase

CASE = usecase()
FRAME = book(600)
COLUMNS = {name: FRAME[name].to_numpy() for name in CASE.features}
ENCODER = Encoder.fit(COLUMNS, CASE)
PLACE = {name: index for index, name in enumerate(ENCODER.features)}


def encoded(**inputs):
    return dict(zip(ENCODER.features, ENCODER.encode_records([inputs])[0].tolist(), strict=True))


def test_records_and_columns_give_the_same_matrix():
    records = [as_inputs(row, CASE) for row in FRAME.to_dict("records")]
    assert np.array_equal(ENCODER.encode_records(records), ENCODER.encode(COLUMNS), equal_nan=True)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "amount": st.floats(0, 1e300) | st.integers(0, 10**400) | st.none(),
                "covered": st.floats(allow_nan=False) | st.none(),
                "jobs": st.floats(-2, 2) | st.sampled_from([-1.0, 0.0, -0.0]) | st.none(),
                "sector": st.text(max_size=4) | st.sampled_from(["22", "229", "0", " 22 ", ""]) | st.none(),
                "state": st.text(max_size=3) | st.sampled_from(["TX", "tx"]) | st.none(),
                "zip": st.text(max_size=9) | st.just("12 Elm Street 70466") | st.none(),
            }
        ),
        max_size=4,
    )
)
def test_any_typed_inputs_give_finite_or_missing_numbers_each_record_for_itself(records):
    matrix = ENCODER.encode_records(records)
    assert matrix.shape == (len(records), len(ENCODER.features))
    assert matrix.dtype == np.float32
    assert not np.isinf(matrix).any()
    alone = [ENCODER.encode_records([record])[0] for record in records]
    assert np.array_equal(matrix, np.array(alone).reshape(matrix.shape), equal_nan=True)
    many = ENCODER.encode_records(records * MANY)
    assert np.array_equal(many, np.tile(matrix, (MANY, 1)), equal_nan=True)


def test_text_is_read_by_its_parse_rule():
    seen = encoded(amount=10.0, sector=" 229876 ", state="tx", zip="12 Elm Street 70466")
    assert seen["sector"] == ENCODER.vocabularies["sector"].index("22") + 1
    assert seen["state"] == ENCODER.vocabularies["state"].index("TX") + 1
    assert seen["zip"] == ENCODER.vocabularies["zip"].index("70466") + 1


def test_a_category_never_seen_is_other_and_an_absent_one_is_missing():
    seen = encoded(amount=10.0, sector="99")
    assert seen["sector"] == 0.0
    assert math.isnan(seen["state"])
    assert math.isnan(encoded(sector="0")["sector"])


def test_derived_features_are_computed_and_a_division_by_zero_is_missing():
    assert encoded(amount=8.0, covered=2.0)["covered_share"] == 0.25
    assert math.isnan(encoded(amount=0.0, covered=2.0)["covered_share"])


def test_a_number_that_stands_for_unknown_is_missing():
    assert math.isnan(encoded(jobs=-1)["jobs"])
    assert encoded(jobs=1)["jobs"] == 1.0


@pytest.mark.parametrize(("sent", "read"), [(1e300, LARGEST), (-1e300, -LARGEST), (math.inf, math.nan)])
def test_numbers_beyond_float32_are_held_and_infinite_ones_are_missing(sent, read):
    assert encoded(jobs=sent)["jobs"] == pytest.approx(read, nan_ok=True)
    columns = COLUMNS | {"jobs": np.full(len(FRAME), sent)}
    assert ENCODER.encode(columns)[0, PLACE["jobs"]] == pytest.approx(read, nan_ok=True)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [({"amount": "12.5"}, "amount: a text where a number"), ({"sector": 22.0}, "sector: a number where a text")],
    ids=["text for a number", "number for a text"],
)
def test_a_wrong_type_is_refused_by_name(inputs, message):
    with pytest.raises(DataError, match=message):
        ENCODER.encode_records([inputs])
    with pytest.raises(DataError, match=message):
        ENCODER.encode_records([*[{}] * MANY, inputs])


def test_an_absent_column_is_refused_by_name():
    with pytest.raises(DataError, match="no column state"):
        ENCODER.encode({name: values for name, values in COLUMNS.items() if name != "state"})


def test_rare_categories_share_the_code_of_other():
    columns = COLUMNS | {"zip": np.array(["70466"] * 580 + ["22690"] * 19 + [None], dtype=object)}
    encoder = Encoder.fit(columns, CASE, min_count=20)
    assert encoder.vocabularies["zip"] == ("70466",)
    assert np.unique(encoder.encode(columns)[:-1, PLACE["zip"]]).tolist() == [0.0, 1.0]


def test_only_the_most_frequent_categories_are_kept_and_ties_go_by_name():
    columns = COLUMNS | {"zip": np.array(["b", "a", "c"] * 200, dtype=object)}
    assert Encoder.fit(columns, CASE, max_categories=2).vocabularies["zip"] == ("a", "b")


def test_an_encoder_survives_json():
    again = Encoder.from_json(json.loads(json.dumps(ENCODER.to_json())))
    assert again.to_json() == ENCODER.to_json()
    assert np.array_equal(again.encode(COLUMNS), ENCODER.encode(COLUMNS), equal_nan=True)


def test_a_category_that_parses_to_something_else_the_second_time_does_not_round_trip():
    features = CASE.model_dump(by_alias=True)["features"] | {"code": {"type": "category", "parse": "match:x(.+)"}}
    encoder = Encoder.fit(COLUMNS | {"code": np.array(["y"] * 600, dtype=object)}, usecase(features=features))
    assert not encoder.round_trips("code", "y")
    assert encoder.round_trips("sector", "22")
    code = encoder.encode_records([{"code": "y"}, {"code": "xy"}])[:, -1].tolist()
    assert math.isnan(code[0])
    assert code[1] == 1.0


def test_no_records_give_an_empty_matrix():
    assert ENCODER.encode_records([]).shape == (0, len(ENCODER.features))
