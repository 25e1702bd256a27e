import dataclasses
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from refit.errors import ContractError, DataError
from refit.scoring import bundle as bundles
from refit.scoring.bundle import Bundle, GoldenRecord, named
from refit.scoring.calibration import Calibrator, ClassCalibrator
from refit.scoring.encoder import Encoder
from refit.scoring.model import read_model
from refit.scoring.skops_file import dumps, loads
from refit.training.learners.registry import LEARNERS
from refit.training.parallel import silenced
from tests.unit.training.book import as_inputs, book, usecase

CASE = usecase()
FRAME = book(500)
COLUMNS = {name: FRAME[name].to_numpy() for name in CASE.features}
RECORDS = [as_inputs(row, CASE) for row in FRAME.to_dict("records")]


def made(learner: str) -> Bundle:
    encoder = Encoder.fit(COLUMNS, CASE)
    label = (np.random.default_rng(1).random(len(FRAME)) < 0.3).astype(float)
    with silenced():
        fitted = LEARNERS[learner](encoder.encode(COLUMNS), label, encoder, 1, lambda _: None, params={})
    return named(
        Bundle(
            usecase=CASE,
            version="",
            as_of=datetime(2003, 6, 30, tzinfo=UTC),
            learner=learner,
            model=fitted.model,
            encoder=encoder,
            calibrator=Calibrator("platt", (), (0.9, 0.1)),
            threshold=0.25,
            profile={"n_records": 500},
            card={"window": {"start": "1998-07-01T00:00:00+00:00", "end": "2002-06-30T00:00:00+00:00"}},
            golden=(GoldenRecord({"amount": 10.0, "sector": None}, 0.125),),
        )
    )


@pytest.fixture(scope="module", params=["logistic_regression", "xgboost"])
def bundle(request):
    return made(request.param)


def test_a_bundle_read_back_predicts_the_same(bundle, tmp_path):
    bundles.save(bundle, tmp_path / "bundle")
    again = bundles.load(tmp_path / "bundle")
    assert again.predict(RECORDS).tolist() == bundle.predict(RECORDS).tolist()
    for part in ("version", "as_of", "learner", "threshold", "profile", "card", "golden", "calibrator", "usecase"):
        assert getattr(again, part) == getattr(bundle, part), part
    assert list(again.usecase.features) == list(CASE.features)


def test_records_and_columns_get_the_same_probability_alone_or_together(bundle):
    together = bundle.predict(RECORDS)
    assert together.tolist() == bundle.predict_columns(COLUMNS).tolist()
    assert [bundle.predict([record])[0] for record in RECORDS[:30]] == together[:30].tolist()
    assert ((together > 0) & (together < 1)).all()


def test_no_records_get_no_probabilities(bundle):
    assert bundle.predict([]).shape == (0,)


def test_making_it_again_gives_the_same_bytes(bundle):
    assert bundles.to_files(made(bundle.learner)) == bundles.to_files(bundle)


def test_writing_what_was_read_gives_the_same_bytes(bundle):
    files = bundles.to_files(bundle)
    assert bundles.to_files(bundles.from_files(files)) == files


@pytest.mark.parametrize("change", [{"threshold": 0.3}, {"card": {"notes": []}}], ids=["threshold", "card"])
def test_the_version_names_the_content(bundle, change):
    assert bundle.version.startswith("book-20030630-")
    assert named(dataclasses.replace(bundle, **change)).version != bundle.version


def test_no_file_says_when_it_was_written_and_none_is_a_pickle(bundle):
    files = bundles.to_files(bundle)
    assert sorted(files) == sorted(
        [
            *(f"{part}.json" for part in ("bundle", "calibrator", "card", "encoder", "golden", "profile", "usecase")),
            bundle.model.file,
        ]
    )
    assert bundle.model.file in {"model.ubj", "model.skops"}


@pytest.mark.parametrize("name", ["card.json", "model", "manifest.json"])
def test_an_altered_file_is_named(bundle, tmp_path, name):
    bundles.save(bundle, tmp_path / "bundle")
    path = tmp_path / "bundle" / (bundle.model.file if name == "model" else name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="altered" if name != "manifest.json" else "altered|absent|bundle"):
        bundles.load(tmp_path / "bundle")


def test_a_file_altered_together_with_its_manifest_no_longer_fits_the_version(bundle, tmp_path):
    bundles.save(bundle, tmp_path / "bundle")
    files = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir() if path.name != "manifest.json"}
    head = json.loads(files["bundle.json"]) | {"threshold": 0.99}
    with pytest.raises(DataError, match="its content is"):
        bundles.from_files(files | {"bundle.json": json.dumps(head).encode()})


@pytest.mark.parametrize("name", ["encoder.json", "model"])
def test_an_absent_file_is_named(bundle, tmp_path, name):
    bundles.save(bundle, tmp_path / "bundle")
    name = bundle.model.file if name == "model" else name
    (tmp_path / "bundle" / name).unlink()
    with pytest.raises(DataError, match=f"{name}: absent"):
        bundles.load(tmp_path / "bundle")


def test_a_folder_that_holds_no_bundle_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no manifest\.json"):
        bundles.load(tmp_path)


def test_a_manifest_cannot_reach_outside_its_folder(bundle, tmp_path):
    bundles.save(bundle, tmp_path / "bundle")
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps({"../secret.json": "0"}))
    with pytest.raises(DataError, match="absent"):
        bundles.load(tmp_path / "bundle")


def test_a_bundle_is_written_once(bundle, tmp_path):
    bundles.save(bundle, tmp_path / "bundle")
    with pytest.raises(DataError, match="not empty"):
        bundles.save(bundle, tmp_path / "bundle")


def test_from_the_threshold_up_a_record_is_declined(bundle):
    assert [bundle.decision(p) for p in (0.2499, 0.25, 0.9)] == ["approve", "decline", "decline"]


def test_the_window_ends_with_the_newest_record(bundle):
    assert bundle.window_end == datetime(2002, 6, 30, tzinfo=UTC)


def test_a_type_that_no_model_needs_is_not_opened():
    with pytest.raises(DataError, match=r"Ridge, which no model of refit needs"):
        loads(dumps(Ridge().fit([[0.0], [1.0]], [0.0, 1.0])))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x04."], ids=["empty", "torn", "a pickle"])
def test_what_is_no_skops_file_is_refused(content):
    with pytest.raises(DataError, match="cannot be read"):
        loads(content)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04."])
def test_what_is_no_xgboost_model_is_refused(content):
    with pytest.raises(DataError, match="not an XGBoost model"):
        read_model("model.ubj", content)


CLASSES = usecase(task="multiclass", label={"name": "segment", "column": "s", "classes": ["A", "B", "C"]})


@pytest.fixture(scope="module")
def of_classes():
    encoder = Encoder.fit(COLUMNS, CLASSES)
    label = np.random.default_rng(1).integers(0, 3, len(FRAME)).astype(float)
    with silenced():
        fitted = LEARNERS["xgboost"](
            encoder.encode(COLUMNS), label, encoder, 1, lambda _: None, params={"trees": 50}, n_classes=3
        )
    two = made("xgboost")
    calibrator = ClassCalibrator("vector", (), ((0.9, 1.0, 1.1), (0.1, 0.0, -0.2)))
    bundle = dataclasses.replace(two, usecase=CLASSES, model=fitted.model, calibrator=calibrator)
    [said] = bundle.predict(RECORDS[:1]).tolist()
    return named(dataclasses.replace(bundle, golden=(GoldenRecord(RECORDS[0], tuple(said)),)))


def test_of_several_classes_each_record_gets_a_probability_of_each(of_classes):
    together = of_classes.predict(RECORDS)
    assert together.shape == (len(RECORDS), 3)
    assert together.sum(axis=1) == pytest.approx(1.0)
    assert together.tolist() == of_classes.predict_columns(COLUMNS).tolist()
    assert [of_classes.predict([record])[0].tolist() for record in RECORDS[:20]] == together[:20].tolist()
    assert of_classes.predict([]).shape == (0, 3)


def test_a_bundle_of_several_classes_read_back_is_the_same(of_classes, tmp_path):
    bundles.save(of_classes, tmp_path / "bundle")
    again = bundles.load(tmp_path / "bundle")
    assert bundles.to_files(again) == bundles.to_files(of_classes)
    assert again.golden == of_classes.golden
    assert tuple(again.predict([again.golden[0].inputs])[0]) == again.golden[0].probability


def test_the_class_of_the_highest_probability_is_chosen_of_equals_the_first(of_classes):
    rows = ([0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2])
    assert [of_classes.choice(np.array(row)) for row in rows] == ["B", "C", "A"]


def test_a_binary_bundle_has_no_class_to_choose(bundle):
    with pytest.raises(ContractError, match="binary"):
        bundle.choice(np.array([0.5, 0.5]))
