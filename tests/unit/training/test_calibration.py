import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refit.scoring.metrics import brier, evaluate, expected_calibration_error, roc_auc
from refit.training.calibration import CLASS_FITS, FITS, calibrate, folds, isotonic, platt


def drawn(n=4000, seed=5, distort=lambda p: p):
    random = np.random.default_rng(seed)
    truth = random.beta(2, 6, n)
    return distort(truth), (random.random(n) < truth).astype(float)


@pytest.mark.parametrize("kind", sorted(FITS))
@pytest.mark.parametrize(
    "distort", [lambda p: p**3, np.sqrt, lambda p: p], ids=["too low", "too high", "right already"]
)
def test_a_fitted_calibrator_mends_new_records_and_keeps_their_ranks(kind, distort):
    calibrator = FITS[kind](*drawn(distort=distort))
    raw, label = drawn(seed=6, distort=distort)
    mended = calibrator.apply(raw)
    assert expected_calibration_error(label, mended) < 0.03
    assert roc_auc(label, mended) == pytest.approx(roc_auc(label, raw), abs=1e-9)
    assert np.all(np.diff(mended[np.argsort(raw)]) >= 0)


ROWS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({bad for _, bad in rows}) == 2
)


@given(ROWS)
def test_any_calibrator_is_monotone_and_within_bounds(rows):
    raw = np.array([value for value, _ in rows])
    label = np.array([float(bad) for _, bad in rows])
    grid = np.linspace(0, 1, 101)
    for fit in FITS.values():
        mended = fit(raw, label).apply(grid)
        assert np.isfinite(mended).all()
        assert ((mended > 0) & (mended < 1)).all()
        assert np.all(np.diff(mended) >= -1e-12)


def test_a_learner_that_is_wrong_way_round_is_not_turned_by_its_calibrator():
    raw, label = drawn()
    assert platt(1 - raw, label).y[0] == 0.0
    assert len(set(isotonic(1 - raw, label).apply(np.array([0.3, 0.31])))) <= 2


def test_isotonic_keeps_records_apart_that_one_level_holds_together():
    raw, label = drawn()
    assert len(np.unique(isotonic(raw, label).apply(raw))) == len(np.unique(raw))


def test_a_level_without_a_bad_record_is_not_taken_for_certain():
    raw, label = np.repeat([0.1, 0.9], 50), np.repeat([0.0, 1.0], 50)
    low, high = isotonic(raw, label).apply(np.array([0.1, 0.9]))
    assert low == pytest.approx(0.5 / 51)
    assert high == pytest.approx(1 - 0.5 / 51)


def test_steps_call_for_isotonic_and_a_line_for_platt():
    raw = np.random.default_rng(1).random(3000)
    steps = 0.05 + 0.4 * (raw > 0.2) + 0.5 * (raw > 0.8)
    label = (np.random.default_rng(2).random(3000) < steps).astype(float)
    assert calibrate(raw, label, seed=1).calibrator.kind == "isotonic"
    assert calibrate(*drawn(n=600), seed=1).calibrator.kind == "platt"


def test_the_choice_is_by_the_brier_score_of_records_held_out():
    raw, label = drawn(distort=lambda p: p**2)
    chosen = calibrate(raw, label, seed=3)
    assert chosen.brier[chosen.calibrator.kind] == min(chosen.brier.values()) == brier(label, chosen.held_out)
    assert chosen.held_out.tolist() == calibrate(raw, label, seed=3).held_out.tolist()


def test_isotonic_steps_that_win_by_no_more_than_chance_are_not_taken():
    found = [calibrate(*drawn(n=1000, seed=seed), seed=seed) for seed in range(30)]
    assert any(one.brier["isotonic"] < one.brier["platt"] for one in found)
    assert sum(one.calibrator.kind == "platt" for one in found) >= 28


def test_folds_hold_as_many_bad_records_each():
    label = np.array([1.0] * 10 + [0.0] * 90)
    fold = folds(label, seed=1, count=5)
    assert [int(label[fold == number].sum()) for number in range(5)] == [2] * 5
    assert np.bincount(fold).tolist() == [20] * 5


def drawn_classes(n=3000, seed=5, distort=lambda p: p):
    random = np.random.default_rng(seed)
    truth = random.dirichlet([1.5, 1.0, 0.7], n)
    label = (truth.cumsum(axis=1) < random.random(n)[:, None]).sum(axis=1).astype(float)
    raw = distort(truth)
    return raw / raw.sum(axis=1, keepdims=True), label


@pytest.mark.parametrize("distort", [lambda p: p**2, np.sqrt, lambda p: p * [3, 1, 0.4]], ids=["sure", "unsure", "off"])
def test_several_classes_are_mended_on_new_records_and_every_row_sums_to_one(distort):
    raw, label = drawn_classes(distort=distort)
    chosen = calibrate(raw, label, seed=3)
    new, truth = drawn_classes(seed=6, distort=distort)
    mended = chosen.calibrator.apply(new)
    assert mended.sum(axis=1) == pytest.approx(1.0)
    assert (mended > 0).all()
    ideal = drawn_classes(seed=6)[0]
    assert evaluate("log_loss", truth, mended) < evaluate("log_loss", truth, new) - 0.01
    assert evaluate("log_loss", truth, mended) == pytest.approx(evaluate("log_loss", truth, ideal), abs=0.01)


@pytest.mark.slow
def test_of_several_classes_the_way_with_the_lowest_held_out_log_loss_is_taken():
    kinds = {
        "temperature": drawn_classes(distort=lambda p: p**2),
        "vector": drawn_classes(distort=lambda p: p * [4, 1, 0.3]),
        "one_vs_rest": drawn_classes(n=6000, distort=lambda p: np.where(p > 0.5, p + 2, p)),
    }
    assert {kind: calibrate(*cells, seed=1).calibrator.kind for kind, cells in kinds.items()} == {k: k for k in kinds}
    assert set(calibrate(*drawn_classes(), seed=1).brier) == set(CLASS_FITS)


def test_what_is_right_already_is_hardly_moved():
    raw, label = drawn_classes(n=6000)
    mended = calibrate(raw, label, seed=1).calibrator.apply(raw)
    assert np.abs(mended - raw).mean() < 0.02


def test_classes_told_apart_without_a_mistake_stay_finite():
    label = np.repeat([0.0, 1.0, 2.0], 30)
    raw = np.eye(3)[label.astype(int)]
    for fit in CLASS_FITS.values():
        assert np.isfinite(fit(raw, label).apply(raw)).all()


def test_folds_hold_as_many_of_each_class():
    label = np.repeat([0.0, 1.0, 2.0], [10, 20, 30])
    fold = folds(label, seed=1, count=5)
    assert [np.bincount(label[fold == number].astype(int)).tolist() for number in range(5)] == [[2, 4, 6]] * 5
