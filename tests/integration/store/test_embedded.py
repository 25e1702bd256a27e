import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from refit.errors import ContractError, OutageError
from refit.store import cluster
from refit.store.cluster import Cluster
from refit.store.embedded import running
from tests.integration.conftest import run

USER = """
import sys
from pathlib import Path
from refit.store.embedded import running
with running(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_user(folder: Path):
    """A process that uses the server until it is told to end; gives the process and the address it got."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
        if process.poll() is None:
            process.communicate("\n", timeout=60)
    finally:
        process.kill()
        process.communicate()


def servers(folder: Path) -> set[int]:
    """The processes that work in the server's data folder."""
    found = set()
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == (folder / "data").resolve() and process.status() != psutil.STATUS_ZOMBIE:
                found.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def postmaster(folder: Path) -> int:
    return int((folder / "data/postmaster.pid").read_text().splitlines()[0])


@pytest.fixture
def folder(tmp_path):
    """A folder for one server; whatever happens, no process stays behind."""
    folder = tmp_path / "home" / "postgres"
    yield folder
    left = servers(folder)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"processes left: {left}"


def test_a_server_runs_while_it_is_used_and_keeps_what_it_was_given(folder):
    with running(folder) as url:
        run(url, "CREATE TABLE kept AS SELECT 7 AS n")
        assert servers(folder)
    assert not servers(folder)
    with running(folder) as again:
        assert run(again, "SELECT n FROM kept") == [(7,)]


def test_it_is_set_up_safe_and_reachable_from_this_machine_only(folder):
    with running(folder) as url:
        asked = ["fsync", "full_page_writes", "listen_addresses", "unix_socket_directories", "TimeZone",
                 "server_encoding", "password_encryption", "synchronize_seqscans"]  # fmt: skip
        seen = {name: run(url, f"SHOW {name}")[0][0] for name in asked}
        listening = {c.laddr.ip for c in psutil.Process(postmaster(folder)).net_connections() if c.status == "LISTEN"}
    assert list(seen.values()) == ["on", "on", "127.0.0.1", "", "UTC", "UTF8", "scram-sha-256", "off"]
    assert listening == {"127.0.0.1"}


def test_nobody_gets_in_without_the_password(folder):
    with running(folder) as url:
        for password in ("wrong", ""):
            with pytest.raises(psycopg2.OperationalError, match=r"password"):
                run(make_url(url).set(password=password).render_as_string(hide_password=False), "SELECT 1")
        secret = folder / "password"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_text() == make_url(url).password


def test_no_folder_above_changes_its_mode(folder, tmp_path):
    tmp_path.chmod(0o700)
    above = [tmp_path, *tmp_path.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in above]
    with running(folder) as url:
        assert run(url, "SELECT 1") == [(1,)]
    assert [(path.stat().st_mode, path.stat().st_uid) for path in above] == before
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700


def test_five_processes_that_start_at_once_share_one_server(folder):
    with (
        another_user(folder) as a,
        another_user(folder) as b,
        another_user(folder) as c,
        another_user(folder) as d,
        another_user(folder) as e,
    ):
        users = [a, b, c, d, e]
        urls = {user.stdout.readline().strip() for user in users}
        assert len(urls) == 1
        (url,) = urls
        for user in users:
            assert run(url, "SELECT 1") == [(1,)]
            user.communicate("\n", timeout=60)
    assert not servers(folder)


def test_one_process_may_use_it_twice(folder):
    with running(folder) as url:
        with running(folder) as again:
            assert again == url
        assert run(url, "SELECT 1") == [(1,)]


def test_ctrl_c_in_the_terminal_does_not_take_the_server_from_the_others(folder):
    with another_user(folder) as starter, another_user(folder) as other:
        url = starter.stdout.readline().strip()
        assert other.stdout.readline().strip() == url
        os.killpg(starter.pid, signal.SIGINT)
        starter.wait(60)
        assert run(url, "SELECT 1") == [(1,)]


def test_a_killed_server_comes_back_with_its_data_at_the_same_address(folder):
    with another_user(folder) as user:
        url = user.stdout.readline().strip()
        run(url, "CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(postmaster(folder), signal.SIGKILL)
        with running(folder) as again:
            assert again == url
            assert run(again, "SELECT n FROM kept") == [(7,)]
    assert not servers(folder)


def test_a_server_that_outlived_its_user_is_adopted_and_stopped_by_the_next(folder):
    with another_user(folder) as user:
        url = user.stdout.readline().strip()
        user.kill()
    assert servers(folder)
    orphan = postmaster(folder)
    with running(folder) as again:
        assert (again, postmaster(folder)) == (url, orphan)
    assert not servers(folder)


def test_a_database_that_a_killed_start_is_still_making_is_no_fault(folder):
    with running(folder) as url:
        clusters = [Cluster(folder) for _ in range(4)]
        run(make_url(url).set(database="postgres").render_as_string(hide_password=False), "DROP DATABASE refit")
        with ThreadPoolExecutor(len(clusters)) as at_once:
            assert list(at_once.map(lambda cluster: cluster.serve(), clusters)) == [url] * len(clusters)


def test_a_start_that_is_broken_off_leaves_no_server(folder, monkeypatch):
    """Ctrl-C may come before the program that starts it has written who it is; that program lives on."""
    with running(folder):
        pass
    run_program, programs = Cluster._run, []

    def broken_off(itself, user, command):
        if Path(command[0]).name != "pg_ctl":
            return run_program(itself, user, command)
        programs.append(threading.Thread(target=run_program, args=(itself, user, command)))
        programs[-1].start()
        raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "_run", broken_off)
    with pytest.raises(KeyboardInterrupt), running(folder):
        pass
    for program in programs:
        program.join()
    assert len(programs) == 1
    assert not servers(folder)


def test_a_server_that_a_killed_start_brings_up_meanwhile_is_adopted(folder, monkeypatch):
    with running(folder) as url:
        pass
    find_user, begun = cluster.server_user, []

    def found_late(*where):
        user = find_user(*where)
        begun.append(Cluster(folder)._launch(user, make_url(url).port))
        return user

    monkeypatch.setattr(cluster, "server_user", found_late)
    with running(folder) as again:
        assert run(again, "SELECT 1") == [(1,)]
    assert [program.returncode for program in begun] == [0]
    assert not servers(folder)


def test_it_survives_being_killed_while_it_is_set_up(folder):
    for moment_s in (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3):
        with another_user(folder) as user:
            time.sleep(moment_s)
            user.kill()
    with running(folder) as url:
        assert run(url, "SELECT 1") == [(1,)]
    assert sorted(path.name for path in folder.iterdir()) == [
        "data",
        "password",
        "server.log",
        "start.lock",
        "users.lock",
    ]


def test_a_leftover_of_a_killed_setup_is_swept(folder):
    (folder / "init-1" / "data").mkdir(parents=True)
    (folder / "init-1" / "data" / "PG_VERSION").write_text("18")
    with running(folder):
        assert not (folder / "init-1").exists()


@pytest.mark.parametrize("number", [os.getpid(), 2**22 - 1, None], ids=["of a live process", "of none", "unreadable"])
def test_a_stale_process_file_does_not_keep_it_from_starting(folder, number):
    with running(folder):
        lines = (folder / "data/postmaster.pid").read_text().splitlines()
    text = "" if number is None else "\n".join([str(number), *lines[1:]])
    (folder / "data/postmaster.pid").write_text(text)
    shutil.chown(folder / "data/postmaster.pid", (folder / "data").stat().st_uid)
    with running(folder) as url:
        assert run(url, "SELECT 1") == [(1,)]


def test_a_folder_that_was_moved_keeps_its_data(folder, tmp_path):
    with running(folder) as url:
        run(url, "CREATE TABLE kept AS SELECT 7 AS n")
    moved = tmp_path / "elsewhere with spaces"
    folder.rename(moved)
    with running(moved) as url:
        assert run(url, "SELECT n FROM kept") == [(7,)]


def test_a_folder_moved_under_a_running_server_is_still_its_own(folder, tmp_path):
    moved = tmp_path / "elsewhere"
    with another_user(folder) as user:
        url = user.stdout.readline().strip()
        folder.rename(moved)
        with running(moved) as again:
            assert again == url
        assert servers(moved)
    assert not servers(moved)


def test_a_copy_of_the_folder_of_a_running_server_gets_a_server_of_its_own(folder, tmp_path):
    copy = tmp_path / "copy"
    with running(folder) as url:
        run(url, "CHECKPOINT")
        subprocess.run(["cp", "-a", str(folder), str(copy)], check=True)
        with running(copy) as other:
            assert other != url
            assert run(other, "SELECT 1") == [(1,)]
        assert run(url, "SELECT 1") == [(1,)]


def test_its_folder_may_vanish_under_it(folder):
    with running(folder):
        shutil.rmtree(folder)
    deadline = time.monotonic() + 30
    while servers_by_name(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not servers_by_name(folder)


def servers_by_name(folder: Path) -> list[int]:
    found = psutil.process_iter(["cmdline"])
    return [p.pid for p in found if str(folder / "data") in (p.info["cmdline"] or [])]


def test_a_lost_password_is_a_clear_error(folder):
    with running(folder):
        pass
    (folder / "password").unlink()
    with pytest.raises(ContractError, match="password is gone"), running(folder):
        pass


def test_a_changed_password_is_a_clear_error(folder):
    with running(folder):
        pass
    (folder / "password").write_text("another")
    with pytest.raises(OutageError, match="password authentication failed") as caught, running(folder):
        pass
    assert "another" not in str(caught.value)


def test_data_of_another_version_is_left_alone(folder):
    with running(folder):
        pass
    (folder / "data/PG_VERSION").write_text("17\n")
    with pytest.raises(ContractError, match="made by PostgreSQL 17"), running(folder):
        pass


def test_damaged_data_is_a_clear_error_with_the_end_of_the_log(folder):
    with running(folder):
        pass
    shutil.rmtree(folder / "data/global")
    with pytest.raises(OutageError, match=r"does not start: .*global"), running(folder):
        pass


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "postgres"):
        with pytest.raises(ContractError, match="a file stands where a folder is needed"), running(path):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user to run the server")
def test_where_nobody_can_be_found_to_run_it_the_error_says_what_to_do(folder, monkeypatch, tmp_path):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ContractError, match=r"install setpriv.*REFIT_DATABASE_URL"), running(folder):
        pass


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 90 MB, which a server fits on once and no more."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=90m", "none", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this user may mount no small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_too_full_to_set_up_is_a_clear_error_and_leaves_nothing_half_made(small_disk):
    (small_disk / "ballast").write_bytes(bytes(70_000_000))
    with pytest.raises(OutageError, match="disk full"), running(small_disk / "postgres"):
        pass
    (small_disk / "ballast").unlink()
    with running(small_disk / "postgres") as url:
        assert run(url, "SELECT 1") == [(1,)]


def test_a_disk_too_full_to_start_on_is_a_clear_error(small_disk):
    with running(small_disk / "postgres"):
        pass
    fill_up(small_disk / "ballast")
    with pytest.raises(OutageError, match="disk full"), running(small_disk / "postgres"):
        pass
    (small_disk / "ballast").unlink()
    with running(small_disk / "postgres") as url:
        assert run(url, "SELECT 1") == [(1,)]


def fill_up(path: Path) -> None:
    with suppress(OSError), path.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
