"""scikit-learn estimators as bytes: skops, a fixed list of types, and the same bytes for the same estimator."""

import io
import json
from typing import Any, Final
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from refit.errors import DataError

TRUSTED: Final = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.slice",
        "builtins.str",
        "builtins.tuple",
        "numpy.dtype",
        "numpy.float64",
        "numpy.int64",
        "numpy.ndarray",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.neighbors._classification.KNeighborsClassifier",
        "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
        "sklearn.pipeline.FeatureUnion",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.QuantileTransformer",
        "sklearn.preprocessing._discretization.KBinsDiscretizer",
        "sklearn.preprocessing._encoders.OneHotEncoder",
        "sklearn.preprocessing._label.LabelBinarizer",
        "sklearn.preprocessing._target_encoder.TargetEncoder",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._tree.Tree",
    }
)
"""Every type a model of ours consists of. A file that holds any other is not opened."""

SCHEMA: Final = "schema.json"
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest moment a zip can hold: a file must not say when it was written."""


def dumps(estimator: Any) -> bytes:
    """Return the estimator as a skops file without addresses and moments, so that equal estimators give equal bytes."""
    import skops.io  # noqa: PLC0415 - a second of imports that only a scikit-learn model needs

    with ZipFile(io.BytesIO(skops.io.dumps(estimator))) as written:
        names: dict[str, str] = {}
        schema = _numbered(json.loads(written.read(SCHEMA)), names, iter(range(1, 1_000_000)))
        parts = {new: _without_gaps(written.read(old)) for old, new in names.items()}
    parts[SCHEMA] = json.dumps(schema, sort_keys=True, separators=(",", ":")).encode()
    packed = io.BytesIO()
    with ZipFile(packed, "w") as canonical:
        for name in sorted(parts):
            canonical.writestr(ZipInfo(name, EPOCH), parts[name])
    return packed.getvalue()


def loads(content: bytes) -> Any:
    """Return the estimator.

    Raises:
        DataError: It is no skops file, or holds a type outside the fixed list.
    """
    import skops.io  # noqa: PLC0415 - see above

    try:
        with ZipFile(io.BytesIO(content)) as packed:
            found = _types(json.loads(packed.read(SCHEMA)))
        if strange := found - TRUSTED:
            raise DataError(f"the model file holds {', '.join(sorted(strange))}, which no model of refit needs")
        return skops.io.loads(content, trusted=sorted(TRUSTED))
    except (BadZipFile, KeyError, ValueError, TypeError, skops.io.exceptions.UntrustedTypesFoundException) as error:
        raise DataError(f"the model file cannot be read: {error}") from None


def _without_gaps(part: bytes) -> bytes:
    """Zero the bytes between the fields of an array of records: a tree's nodes hold seven of them each."""
    if not part.startswith(np.lib.format.MAGIC_PREFIX):
        return part
    array = np.load(io.BytesIO(part), allow_pickle=False)
    if array.dtype.names is None:
        return part
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    written = io.BytesIO()
    np.save(written, clean, allow_pickle=False)
    return written.getvalue()


def _numbered(node: Any, names: dict[str, str], numbers: Any) -> Any:
    """Replace memory addresses by running numbers, in file names too; keys in sorted order, so the order is fixed."""
    if isinstance(node, list):
        return [_numbered(part, names, numbers) for part in node]
    if not isinstance(node, dict):
        return node
    fresh = {}
    for key in sorted(node):
        if key == "__id__":
            fresh[key] = next(numbers)
        elif key == "file" and "__loader__" in node:
            suffix = node[key].rpartition(".")[2]
            fresh[key] = names.setdefault(node[key], f"{len(names) + 1}.{suffix}")
        else:
            fresh[key] = _numbered(node[key], names, numbers)
    return fresh


def _types(node: Any) -> set[str]:
    """Return the full name of every type the schema names."""
    if isinstance(node, list):
        return set().union(*map(_types, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = set().union(*map(_types, node.values())) if node else set()
    if "__class__" in node and "__module__" in node:
        found.add(f"{node['__module__']}.{node['__class__']}")
    return found
