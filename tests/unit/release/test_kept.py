import dataclasses
import json
import os
from pathlib import Path

import pytest
import structlog

from refit.errors import ReleaseError
from refit.release import kept as module
from refit.release.bento import BUNDLE, bento_path
from refit.release.child import Release
from refit.release.kept import Keeper
from refit.scoring.bundle import save
from tests.integration.release.conftest import toy_bundle


@pytest.fixture(scope="module")
def bundle():
    return toy_bundle(1)


@pytest.fixture
def release(tmp_path, bundle) -> Release:
    tag = f"refit_toy:{bundle.version}"
    folder = bento_path(tag, tmp_path / "bentoml")
    save(bundle, folder / BUNDLE)
    return Release(7, bundle.version, tag, folder)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "serving" / "toy.json"


@pytest.fixture
def keeper(file, tmp_path) -> Keeper:
    return Keeper(file, tmp_path / "bentoml")


def test_what_was_kept_is_found_by_the_next_process_with_the_moment_it_went_live(keeper, release, file, tmp_path):
    assert keeper.last() is None
    keeper.keep(release)
    after = Keeper(file, tmp_path / "bentoml")
    found = after.last()
    assert found == dataclasses.replace(release, live_since=found.live_since)
    assert found.live_since > 0
    assert after.recalled(release) == found
    assert after.recalled(dataclasses.replace(release, id=8)).live_since is None
    after.keep(found)
    assert Keeper(file, tmp_path / "bentoml").last() == found
    assert [path.name for path in file.parent.iterdir()] == ["toy.json"]


def test_a_release_that_is_live_again_is_not_as_old_as_before(keeper, release):
    keeper.keep(release)
    assert keeper.recalled(release).live_since is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"id": 1}'])
def test_a_file_that_says_nothing_is_refused(keeper, release, file, content):
    keeper.keep(release)
    file.write_text(content)
    with pytest.raises(ReleaseError, match=r"toy\.json cannot be read"):
        keeper.last()
    assert Keeper(file, file.parent).recalled(release) is release


def test_a_file_that_says_something_else_is_refused(keeper, release, file):
    keeper.keep(release)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"id": "7"}))
    with pytest.raises(ReleaseError, match="does not say which release"):
        keeper.last()


@pytest.mark.parametrize("name", ["golden.json", "model.ubj", "bundle.json"])
def test_a_bundle_that_was_altered_is_refused_by_the_name_of_the_file(keeper, release, name):
    keeper.keep(release)
    altered = release.bento_path / BUNDLE / name
    altered.write_bytes(altered.read_bytes() + b" ")
    with pytest.raises(ReleaseError, match=f"{name} was altered since it was live"):
        keeper.last()


def test_another_bundle_in_its_place_is_refused_though_it_proves_itself(keeper, release):
    keeper.keep(release)
    folder = release.bento_path / BUNDLE
    for path in folder.iterdir():
        path.unlink()
    save(toy_bundle(2), folder)
    with pytest.raises(ReleaseError, match=r"manifest\.json is not the one that was live"):
        keeper.last()


def test_a_bento_that_is_gone_is_refused_and_so_is_one_that_lacks_a_file(keeper, release):
    keeper.keep(release)
    (release.bento_path / BUNDLE / "card.json").unlink()
    with pytest.raises(ReleaseError, match=r"card\.json cannot be read"):
        keeper.last()
    release.bento_path.rename(release.bento_path.with_name("elsewhere"))
    with pytest.raises(ReleaseError, match="there is no Bento in"):
        keeper.last()


def test_what_cannot_be_written_down_leaves_nothing_older_to_be_served_and_is_written_later(
    keeper, release, file, monkeypatch
):
    keeper.keep(dataclasses.replace(release, id=6))

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(module, "writing", full)
        keeper.keep(release)
        assert not file.exists()
        with structlog.testing.capture_logs() as logged:
            keeper.again()
        assert logged == []  # it was said once
        assert keeper.last() is None
    keeper.again()
    assert keeper.last().id == 7
