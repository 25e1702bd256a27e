import numpy as np
import pytest

from refit.scoring.encoder import Encoder
from refit.training import balancing
from refit.training.balancing import balanced
from tests.unit.training.records import ENCODER, records

MATRIX, LABEL = records(600)
THREE = np.repeat([0.0, 1.0, 2.0], [400, 150, 50])
WAYS = ["under", "over", "smote"]


@pytest.mark.parametrize("label", [LABEL, THREE], ids=["two classes", "three classes"])
@pytest.mark.parametrize("way", WAYS)
def test_afterwards_there_are_as_many_of_each_class(way, label):
    matrix, after = balanced(MATRIX, label, ENCODER, way, 1)
    before = np.bincount(label.astype(int))
    assert matrix.shape == (len(after), 4)
    assert matrix.dtype == np.float32
    assert set(np.bincount(after.astype(int))) == {before.min() if way == "under" else before.max()}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_seed_gives_the_same_records_and_another_seed_others(way):
    first, again, other = (balanced(MATRIX, LABEL, ENCODER, way, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_none_changes_nothing_and_one_class_alone_cannot_be_evened_out():
    assert balanced(MATRIX, LABEL, ENCODER, "none", 1) == (MATRIX, LABEL)
    alone = np.zeros(len(LABEL))
    assert balanced(MATRIX, alone, ENCODER, "smote", 1) == (MATRIX, alone)


@pytest.mark.parametrize("way", ["under", "over"])
def test_leaving_out_and_repeating_make_no_new_record(way):
    matrix, label = balanced(MATRIX, LABEL, ENCODER, way, 1)
    known = {(row.tobytes(), y) for row, y in zip(MATRIX, LABEL, strict=True)}
    assert {(row.tobytes(), y) for row, y in zip(matrix, label, strict=True)} <= known


def test_smote_keeps_every_record_and_makes_new_ones_that_could_be_records():
    matrix, label = balanced(MATRIX, LABEL, ENCODER, "smote", 1)
    assert np.array_equal(matrix[: len(MATRIX)], MATRIX, equal_nan=True)
    assert np.array_equal(label[: len(LABEL)], LABEL)
    new, minority = matrix[len(MATRIX) :], MATRIX[LABEL == 1]
    assert set(np.unique(new[:, 2][~np.isnan(new[:, 2])])) <= set(np.unique(MATRIX[:, 2][~np.isnan(MATRIX[:, 2])]))
    assert np.isnan(new[:, 3]).all()
    for index in (0, 1):
        assert np.nanmin(new[:, index]) >= np.nanmin(MATRIX[:, index])
        assert np.nanmax(new[:, index]) <= np.nanmax(MATRIX[:, index])
    assert np.nanmedian(np.log(new[:, 0])) == pytest.approx(np.nanmedian(np.log(minority[:, 0])), abs=1.0)
    for index in (0, 2):
        assert np.isnan(new[:, index]).any()
        assert np.isnan(new[:, index]).mean() < 0.2


@pytest.mark.parametrize("kept", [[1], [2], [1, 3], [0]], ids=["numbers", "categories", "one all missing", "missing"])
def test_smote_takes_features_of_any_kind(kept):
    names = [ENCODER.features[index] for index in kept]
    encoder = Encoder(tuple(names), {n: v for n, v in ENCODER.vocabularies.items() if n in names}, {}, {})
    _, label = balanced(MATRIX[:, kept], LABEL, encoder, "smote", 1)
    assert len(set(np.bincount(label.astype(int)))) == 1


@pytest.mark.parametrize(("rare", "neighbours"), [(20, 5), (4, 3), (2, 1)])
def test_few_records_of_a_class_have_fewer_neighbours(monkeypatch, rare, neighbours):
    asked = []
    sampler = balancing._sampler

    def spied(n_numbers, n_columns, k, seed):
        asked.append(k)
        return sampler(n_numbers, n_columns, k, seed)

    monkeypatch.setattr(balancing, "_sampler", spied)
    label = np.repeat([0.0, 1.0], [600 - rare, rare])
    assert np.bincount(balanced(MATRIX, label, ENCODER, "smote", 1)[1].astype(int)).tolist() == [600 - rare] * 2
    assert asked == [neighbours]


def test_a_single_record_of_a_class_is_repeated():
    label = np.repeat([0.0, 1.0], [599, 1])
    matrix, after = balanced(MATRIX, label, ENCODER, "smote", 1)
    assert len({row.tobytes() for row in matrix[after == 1]}) == 1
    assert (after == 1).sum() == 599
