import io
import json
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from refit.errors import DataError
from refit.scoring import skops_file

X = np.random.default_rng(0).random((200, 3))
Y = (X[:, 0] > 0.5).astype(int)


def test_only_types_our_models_consist_of_are_opened():
    content = skops.io.dumps(SGDClassifier().fit(X, Y))
    with pytest.raises(DataError, match=r"holds sklearn\.linear_model.*SGDClassifier.*, which no model of refit needs"):
        skops_file.loads(content)


def test_a_function_is_never_opened():
    with pytest.raises(DataError, match="which no model of refit needs"):
        skops_file.loads(skops.io.dumps(FunctionTransformer(np.exp)))


def test_equal_estimators_give_equal_bytes_and_no_moment_or_address():
    first, again = (skops_file.dumps(LogisticRegression().fit(X, Y)) for _ in range(2))
    assert first == again
    with ZipFile(io.BytesIO(first)) as packed:
        assert {entry.date_time for entry in packed.infolist()} == {skops_file.EPOCH}


def test_the_gaps_between_a_trees_fields_are_empty():
    tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(X, Y)
    content = skops_file.dumps(tree)
    again = skops_file.loads(content)
    assert skops_file.dumps(again) == content
    assert np.array_equal(again.predict_proba(X), tree.predict_proba(X))
    record = np.dtype({"names": ["a", "b"], "formats": ["<f8", "u1"], "offsets": [0, 8], "itemsize": 16})
    dirty = np.full(32, 7, dtype=np.uint8).view(record)
    written = io.BytesIO()
    np.save(written, dirty)
    clean = np.load(io.BytesIO(skops_file._without_gaps(written.getvalue())))
    assert clean["b"].tolist() == [7, 7]
    assert clean.tobytes()[9:16] == bytes(7)


@pytest.mark.parametrize("content", [b"", b"{}", b"PK\x05\x06" + bytes(18)], ids=["nothing", "JSON", "an empty zip"])
def test_what_is_no_skops_file_is_refused(content):
    with pytest.raises(DataError, match="the model file"):
        skops_file.loads(content)


def test_a_type_is_found_however_deep_it_lies():
    node = {"content": [{"x": {"__class__": "C", "__module__": "m"}}]}
    assert skops_file._types(json.loads(json.dumps(node))) == {"m.C"}
