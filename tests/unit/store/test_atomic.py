import errno
import os
import stat
from pathlib import Path

import pytest

from refit.errors import ContractError, OutageError
from refit.store.atomic import disk_explained, make_folder, writing


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file"
    with writing(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_where_writing_fails_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), writing(path) as file:
        file.write(b"new" + bytes([1 // 0]))
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_secret_is_closed_to_others_from_its_first_byte(tmp_path):
    with writing(tmp_path / "secret", mode=0o600) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, OutageError, "disk full at /somewhere"),
        (errno.EDQUOT, OutageError, "disk full at /somewhere"),
        (errno.EACCES, OutageError, "/somewhere: Permission denied; make it writable"),
        (errno.EROFS, OutageError, "/somewhere: Read-only file system; make it writable"),
        (errno.EIO, OutageError, "the disk fails at /somewhere"),
        (errno.ENOTDIR, ContractError, "a file stands where a folder is needed"),
    ],
)
def test_each_refusal_of_the_disk_says_what_to_do(number, kind, words):
    with pytest.raises(kind, match=words), disk_explained("/somewhere"):
        raise OSError(number, os.strerror(number))


def test_an_error_that_is_not_the_disk_is_left_alone():
    with pytest.raises(ConnectionResetError), disk_explained("/somewhere"):
        raise ConnectionResetError


def test_a_full_disk_while_writing_is_an_outage_and_leaves_nothing(tmp_path):
    with pytest.raises(OutageError, match="disk full"), writing(tmp_path / "file"):
        Path("/dev/full").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ContractError, match="a file stands"):
            make_folder(path)
