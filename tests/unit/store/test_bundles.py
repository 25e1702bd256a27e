import pytest

from refit.errors import ContractError
from refit.store.bundles import publish, unfinished


def test_a_bundle_appears_as_a_whole(tmp_path):
    final = tmp_path / "sba" / "v1"
    with unfinished(tmp_path / "sba") as folder:
        (folder / "part").mkdir()
        (folder / "part" / "model").write_text("m")
        assert not final.exists()
        assert publish(folder, final) == final
    assert (final / "part" / "model").read_text() == "m"
    assert list((tmp_path / "sba").iterdir()) == [final]


def test_publishing_what_is_there_already_keeps_it(tmp_path):
    final = tmp_path / "v1"
    for content in ("first", "second"):
        with unfinished(tmp_path) as folder:
            (folder / "model").write_text(content)
            publish(folder, final)
    assert (final / "model").read_text() == "first"
    assert list(tmp_path.iterdir()) == [final]


def test_what_is_not_published_is_removed(tmp_path):
    with pytest.raises(ZeroDivisionError), unfinished(tmp_path) as folder:
        (folder / "model").write_text(str(1 // 0))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_its_place_is_a_clear_error(tmp_path):
    (tmp_path / "v1").touch()
    with unfinished(tmp_path) as folder, pytest.raises(ContractError, match="a file stands"):
        publish(folder, tmp_path / "v1")
