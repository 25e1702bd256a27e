import dataclasses
import fcntl
import filecmp
import json
import os
import shutil
import subprocess
import sys
import threading

import pytest
import yaml
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from refit.errors import ReleaseError
from refit.release.bento import bento_path, build
from refit.scoring.bundle import load, named, save
from refit.scoring.model import SklearnModel

LOADED = """
import json, os, sys
import bentoml
app = bentoml.load(sys.argv[1], standalone_load=True).to_asgi()

import asyncio

async def main():
    said = []
    async def send(message): said.append(message)
    queue = asyncio.Queue()
    await queue.put({"type": "lifespan.startup"})
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, queue.get, send))
    while not said:
        await asyncio.sleep(0.01)
    assert said.pop()["type"] == "lifespan.startup.complete"
    async def receive(): return {"type": "http.request", "body": sys.argv[2].encode()}
    await app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
    answer = json.loads(said[1]["body"])
    await queue.put({"type": "lifespan.shutdown"})
    await life
    modules = [name for name, module in sys.modules.items() if module is not None]
    print(json.dumps({"answer": answer, "modules": modules, "refit": sys.modules["refit"].__file__}))

asyncio.run(main())
"""


HEAVY = {"prefect", "evidently", "sqlalchemy", "pandas", "pyarrow", "psycopg2", "fastapi"}


def loaded_by_serving(built, record: dict, **variables: str) -> dict:
    """What a process of its own has in memory, and answers, once it serves the Bento."""
    environment = os.environ | {"BENTOML_HOME": str(built.home), "BENTOML_DO_NOT_TRACK": "True"} | variables
    command = [sys.executable, "-P", "-c", LOADED, str(built.path), json.dumps(record)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def loaded(bentos):
    return loaded_by_serving(bentos[0], bentos[0].bundle.golden[0].inputs)


def test_a_bento_answers_what_its_bundle_answers(bentos, loaded):
    golden = bentos[0].bundle.golden[0]
    assert loaded["answer"]["probability"] == pytest.approx(golden.probability, rel=1e-6)
    assert loaded["answer"]["model_version"] == bentos[0].bundle.version


def test_a_bento_runs_the_code_it_carries_and_loads_nothing_heavy(bentos, loaded):
    assert loaded["refit"].startswith(str(bentos[0].path))
    assert (HEAVY | {"sklearn"}).isdisjoint(loaded["modules"])
    assert "xgboost" in loaded["modules"]


def test_a_scikit_learn_model_brings_scikit_learn_along_and_nothing_else(bentos, tmp_path):
    bundle = bentos[0].bundle
    inputs = [record.inputs for record in bundle.golden]
    matrix = bundle.encoder.encode_records(inputs)
    pipeline = make_pipeline(SimpleImputer(), LogisticRegression()).fit(matrix, [0, 1, 1])
    save(named(dataclasses.replace(bundle, model=SklearnModel(pipeline), golden=())), tmp_path)
    expected = float(load(tmp_path).predict(inputs[:1])[0])
    served = loaded_by_serving(bentos[0], inputs[0], REFIT_BUNDLE=str(tmp_path))
    assert served["answer"]["probability"] == pytest.approx(expected, rel=1e-9)
    assert (HEAVY | {"xgboost"}).isdisjoint(served["modules"])


def test_a_bento_holds_the_bundle_and_only_the_part_of_refit_that_serving_needs(bentos):
    src = bentos[0].path / "src"
    names = [path.name for path in bentos[0].folder.iterdir()]
    assert filecmp.cmpfiles(bentos[0].folder, src / "bundle", names, shallow=False)[0] == names
    assert {path.name for path in (src / "refit").iterdir()} - {"__pycache__"} == {
        "__init__.py",
        "errors.py",
        "scoring",
        "trace.py",
        "usecase",
    }
    assert str(bentos[0].folder) not in (bentos[0].path / "bento.yaml").read_text()


def test_the_tag_names_use_case_and_version_and_pins_what_the_image_installs(bentos):
    v1 = bentos[0]
    assert v1.tag == f"refit_toy:{v1.bundle.version}"
    described = yaml.safe_load((v1.path / "bento.yaml").read_text())
    assert (described["name"], described["version"]) == ("refit_toy", v1.bundle.version)
    needed = (v1.path / "env" / "python" / "requirements.txt").read_text().split()
    assert all("==" in line for line in needed)
    assert {"bentoml", "numpy", "xgboost", "orjson"} <= {line.partition("==")[0] for line in needed}
    assert "scikit-learn" not in " ".join(needed)


def test_a_second_build_gives_the_same_bento(bentos):
    before = (bentos[0].path / "bento.yaml").stat().st_mtime_ns
    assert build(bentos[0].folder, bentoml_home=bentos[0].home) == bentos[0].tag
    assert (bentos[0].path / "bento.yaml").stat().st_mtime_ns == before


def test_a_bento_that_was_altered_is_not_taken_for_the_bundle(bentos, tmp_path):
    copy = bento_path(bentos[0].tag, tmp_path)
    shutil.copytree(bentos[0].path, copy)
    (copy / "src" / "bundle" / "card.json").write_text("{}")
    with pytest.raises(ReleaseError, match=r"card\.json differs.*A Bento never changes"):
        build(bentos[0].folder, bentoml_home=tmp_path)


def test_two_builds_at_once_end_in_one_bento_and_leave_nothing_else(bentos, tmp_path):
    tags = []
    builders = [
        threading.Thread(target=lambda: tags.append(build(bentos[1].folder, bentoml_home=tmp_path))) for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert tags == [bentos[1].tag] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["bentos"]
    assert [path.name for path in (tmp_path / "bentos" / "refit_toy").iterdir()] == [bentos[1].bundle.version]
    built = bento_path(bentos[1].tag, tmp_path) / "src"
    assert list((built / "refit" / "scoring" / "__pycache__").glob("encoder.*.pyc"))  # no start has to make it


def test_what_a_killed_build_left_behind_is_deleted_by_the_next_and_what_another_builds_is_not(bentos, tmp_path):
    left, young, building = (tmp_path / f".building-{name}" for name in ("left", "young", "busy"))
    for folder in (left, young, building):
        (folder / "context").mkdir(parents=True)
    for folder in (left, building):
        os.utime(folder, (0, 0))
    lock = os.open(building, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build(bentos[0].folder, bentoml_home=tmp_path)
    finally:
        os.close(lock)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".building-busy", ".building-young", "bentos"]


def test_a_folder_without_a_bundle_is_refused(tmp_path):
    with pytest.raises(ReleaseError, match="no bundle"):
        build(tmp_path, bentoml_home=tmp_path / "home")
