from itertools import combinations
from math import factorial

import numpy as np
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from refit.scoring.calibration import logit
from refit.scoring.contributions import contributions
from refit.scoring.model import SklearnModel, XGBoostModel
from refit.training.parallel import silenced

N_FEATURES = 5
CATEGORY = 4


def records(n: int, seed: int) -> np.ndarray:
    """Return (n, 5): four numbers, some missing, and a category of three codes."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(n, N_FEATURES))
    matrix[random.random((n, N_FEATURES)) < 0.08] = np.nan
    matrix[:, CATEGORY] = random.integers(0, 4, n)
    return matrix.astype(np.float32)


MATRIX = records(600, seed=1)
SCORE = (
    np.nan_to_num(MATRIX[:, 0]) * np.nan_to_num(MATRIX[:, 1]) + (MATRIX[:, CATEGORY] == 2) - np.nan_to_num(MATRIX[:, 2])
)
LABEL = (SCORE + np.random.default_rng(2).normal(size=600) > 0.5).astype(float)
CLASSES = np.digitize(SCORE, [-0.5, 0.8]).astype(float)
BASELINE = np.array([0.1, -0.2, 0.0, 0.3, 1.0], dtype=np.float32)
SOME = records(12, seed=3)


def pipeline(estimator, label=LABEL):
    numbers = Pipeline(
        [("imputed", SimpleImputer(strategy="median", add_indicator=True)), ("scaled", StandardScaler())]
    )
    parts = [
        ("numbers", numbers, list(range(CATEGORY))),
        ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [CATEGORY]),
    ]
    with silenced():
        return SklearnModel(Pipeline([("columns", ColumnTransformer(parts)), ("last", estimator)]).fit(MATRIX, label))


ESTIMATORS = {
    "logistic regression": LogisticRegression(),
    "decision tree": DecisionTreeClassifier(max_depth=5, min_samples_leaf=5, random_state=0),
    "random forest": RandomForestClassifier(n_estimators=20, max_depth=6, min_samples_leaf=3, random_state=0),
    "nearest neighbours": KNeighborsClassifier(25),
    "multilayer perceptron": MLPClassifier((16,), max_iter=200, random_state=0),
}
MODELS = {name: pipeline(estimator) for name, estimator in ESTIMATORS.items()}


def boosted(label, **params):
    data = xgboost.DMatrix(
        MATRIX, label=label, feature_types=["q"] * CATEGORY + ["c"], enable_categorical=True, nthread=1
    )
    settings = {"objective": "binary:logistic", "max_depth": 3, "seed": 1, "nthread": 1, "verbosity": 0} | params
    return XGBoostModel(xgboost.train(settings, data, 30))


def brute_force(worth, record: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return the Shapley values by their definition: every set of features, one after another."""
    n = len(record)
    values = np.zeros(n)
    for feature in range(n):
        others = [other for other in range(n) if other != feature]
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for chosen in combinations(others, size):
                without = baseline.copy()
                without[list(chosen)] = record[list(chosen)]
                with_it = without.copy()
                with_it[feature] = record[feature]
                values[feature] += weight * np.diff(worth(np.vstack([without, with_it])))[0]
    return values


@pytest.mark.parametrize("name", MODELS)
def test_baseline_and_contributions_add_up_to_the_score(name):
    found = contributions(MODELS[name], SOME, BASELINE)
    np.testing.assert_allclose(found.scores(), logit(MODELS[name].probability(SOME)), atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_the_baseline_itself_has_no_contributions_and_the_baselines_score(name):
    found = contributions(MODELS[name], BASELINE[None, :], BASELINE)
    assert found.values.tolist() == [[0.0] * N_FEATURES]
    assert found.baseline == pytest.approx(logit(MODELS[name].probability(BASELINE[None, :]))[0], abs=1e-9)


def test_boosted_trees_add_up_to_their_margin_also_with_categories_and_missing_values():
    model = boosted(LABEL)
    found = contributions(model, SOME)
    np.testing.assert_allclose(found.scores(), logit(model.probability(SOME)), atol=1e-5)
    assert found.against == "the average of the records the model learned from"


def test_a_linear_models_contributions_are_its_coefficients_times_the_way_from_the_baseline():
    model = pipeline(LogisticRegression())
    columns, regression = model.pipeline["columns"], model.pipeline["last"]
    way = columns.transform(SOME.astype(float)) - columns.transform(BASELINE[None, :].astype(float))
    each = way * regression.coef_[0]
    marks = columns.named_transformers_["numbers"]["imputed"].indicator_.features_
    owners = np.array([*range(CATEGORY), *marks, *[CATEGORY] * 4])
    expected = np.column_stack([each[:, owners == feature].sum(axis=1) for feature in range(N_FEATURES)])
    np.testing.assert_allclose(contributions(model, SOME, BASELINE).values, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["decision tree", "random forest"])
@pytest.mark.slow
def test_trees_get_the_shapley_values_of_their_probability(name):
    model = MODELS[name]
    found = contributions(model, SOME[:4], BASELINE)
    for record, values in zip(SOME[:4], found.values, strict=True):
        expected = brute_force(model.probability, record, BASELINE)
        before, after = logit(model.probability(np.vstack([BASELINE, record])))
        if before != after:
            np.testing.assert_allclose(values, expected * (after - before) / expected.sum(), atol=1e-9)
        else:
            np.testing.assert_allclose(values.sum(), 0, atol=1e-9)


def test_a_tree_that_reads_missing_values_itself_gets_its_shapley_values_too():
    tree = DecisionTreeClassifier(max_depth=6, random_state=0).fit(MATRIX.astype(float), LABEL)
    model = SklearnModel(Pipeline([("last", tree)]))
    gappy = SOME[np.isnan(SOME).any(axis=1)]
    assert len(gappy)
    for record, values in zip(gappy, contributions(model, gappy, BASELINE).values, strict=True):
        expected = brute_force(model.probability, record, BASELINE)
        np.testing.assert_allclose(values / values.sum(), expected / expected.sum(), atol=1e-9)


def test_boosted_trees_get_the_shapley_values_of_their_paths():
    model = boosted(LABEL, max_depth=2)
    dump = model.booster.trees_to_dataframe()
    record, values = SOME[0], contributions(model, SOME[:1]).values[0]
    expected = brute_force_of_paths(dump, record)
    np.testing.assert_allclose(values, expected, atol=1e-5)


def brute_force_of_paths(dump, record: np.ndarray) -> np.ndarray:
    """Return path-dependent TreeSHAP by its definition, from the printed trees."""
    trees = [tree.set_index("ID").to_dict("index") for _, tree in dump.groupby("Tree")]

    def answer(tree, name, known):
        node = tree[name]
        if node["Feature"] == "Leaf":
            return node["Gain"]
        feature, value = int(node["Feature"][1:]), record[int(node["Feature"][1:])]
        if feature in known:
            if np.isnan(value):
                return answer(tree, node["Missing"], known)
            if isinstance(node["Category"], list):
                return answer(tree, node["No"] if int(value) not in map(int, node["Category"]) else node["Yes"], known)
            return answer(tree, node["Yes"] if value < np.float32(node["Split"]) else node["No"], known)
        cover = [tree[node[way]]["Cover"] for way in ("Yes", "No")]
        each = [answer(tree, node[way], known) for way in ("Yes", "No")]
        return float(np.average(each, weights=cover))

    values = np.zeros(N_FEATURES)
    for feature in range(N_FEATURES):
        others = [other for other in range(N_FEATURES) if other != feature]
        for size in range(N_FEATURES):
            weight = factorial(size) * factorial(N_FEATURES - size - 1) / factorial(N_FEATURES)
            for known in map(set, combinations(others, size)):
                for tree in trees:
                    root = next(iter(tree))
                    values[feature] += weight * (answer(tree, root, known | {feature}) - answer(tree, root, known))
    return values


@pytest.mark.slow
def test_seeded_orders_come_near_the_shapley_values_and_are_the_same_every_time():
    model = MODELS["multilayer perceptron"]
    found = contributions(model, SOME[:4], BASELINE).values
    assert found.tolist() == contributions(model, SOME[:4], BASELINE).values.tolist()
    expected = np.array([brute_force(lambda m: logit(model.probability(m)), record, BASELINE) for record in SOME[:4]])
    assert np.abs(found - expected).max() < 0.15 * np.abs(expected).max()


def test_a_feature_the_model_never_looks_at_gets_nothing():
    stump = DecisionTreeClassifier(max_depth=1).fit(MATRIX[:, :1].astype(float), LABEL)
    chosen = ColumnTransformer([("first", "passthrough", [0])]).fit(MATRIX)
    found = contributions(SklearnModel(Pipeline([("columns", chosen), ("last", stump)])), SOME, BASELINE)
    assert (found.values[:, 1:] == 0).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_classs_margins_add_up_to_the_probabilities_of_all(name):
    fitted = pipeline(ESTIMATORS[name].__class__(**ESTIMATORS[name].get_params()), CLASSES)

    class Several(SklearnModel):
        def probability(self, matrix):
            return self.pipeline.predict_proba(matrix.astype(float))

    model = Several(fitted.pipeline)
    margins = np.column_stack([contributions(model, SOME, BASELINE, of).scores() for of in range(3)])
    odds = np.exp(margins - margins.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), model.probability(SOME), atol=1e-5)


def test_of_boosted_trees_too():
    model = boosted(CLASSES, objective="multi:softprob", num_class=3)
    margins = np.column_stack([contributions(model, SOME, of=of).scores() for of in range(3)])
    odds = np.exp(margins)
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), model.booster.inplace_predict(SOME), atol=1e-5)


def test_without_a_baseline_it_is_told_against_a_record_of_which_nothing_is_known():
    found = contributions(MODELS["logistic regression"], SOME)
    assert "nothing is known" in found.against
    np.testing.assert_allclose(found.scores(), logit(MODELS["logistic regression"].probability(SOME)), atol=1e-6)
