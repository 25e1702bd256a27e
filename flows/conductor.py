"""Starts the parts of `refit up` in order, side by side where they can be, and stops them in the right one."""

import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
from pydantic import SecretStr

import flows
from flows import automations
from flows.addresses import report_url, shown_host
from flows.environment import environment
from flows.processes import LOOK_SECONDS, Processes
from flows.server import PrefectServer, RunState
from refit.errors import OutageError, ReleaseError
from refit.loop.days import SIMULATED
from refit.settings import Settings
from refit.usecase.model import UseCase

if TYPE_CHECKING:
    from refit.loop.wiring import World

Echo = Callable[[str], None]

ROOT: Final = Path(flows.__file__).parent.parent
"""Where `flows/` lies, and so the entrypoints that `prefect.yaml` names: the checkout, or the installed packages."""
PREFECT: Final = (sys.executable, "-m", "prefect")
SERVER: Final = (sys.executable, "-m", "flows.prefect_server", "server", "start")
POOL: Final = "refit"
SERVER_SECONDS: Final = 180
WORKER_SECONDS: Final = 60
DEPLOY_SECONDS: Final = 180
DEPLOY_TRIES: Final = 3
"""Prefect's server on SQLite answers 503 while two write at once, and a deploy gives up in the end."""
NIGHT_SECONDS: Final = 1800
NIGHT_TRIES: Final = 3
SERVICE_SECONDS: Final = 90
STOP_SECONDS: Final = 15
REVIVED: Final = ("worker", "service", "console")
"""What is started again when it dies. Without its server, Prefect's or Postgres, nothing could go on."""


@dataclass(slots=True)
class Clock:
    """Says lines with the seconds since the start."""

    echo: Echo
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self.started

    def say(self, line: str) -> None:
        """Say one line."""
        self.plain(f"[{self.seconds:5.1f} s] {line}")

    def plain(self, text: str) -> None:
        """Say a text as it is."""
        with suppress(OSError):  # the terminal may be gone
            self.echo(text)


@dataclass(slots=True)
class Conductor:
    """One `refit up`.

    `leave` is called before the parts are stopped, so that no signal breaks that off.
    """

    settings: Settings
    usecases: Sequence[UseCase]
    processes: Processes
    clock: Clock
    leave: Callable[[], None]
    deploy_tries: int = DEPLOY_TRIES

    def run(self) -> None:
        """Start everything, run the first nights, and watch until a signal or a death ends it."""
        # The server takes longest, so it goes first; what is heavy to import here is imported meanwhile.
        self.clock.say("Starting the Prefect server and Postgres")
        self._start("prefect-server", SERVER)
        server = PrefectServer(f"{self._url(self.settings.prefect_port)}/api")
        with self._database() as url:
            from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

            self.settings = self.settings.model_copy(update={"database_url": SecretStr(url)})
            try:
                with open_world(self.settings) as world:
                    self._conduct(world, server)
            finally:
                self.leave()
                self.clock.say("Stopping; Ctrl-C again hurries it")
                self._stop_parts()
                server.close()

    def _conduct(self, world: "World", server: PrefectServer) -> None:
        from refit.loop.load import load_demo  # noqa: PLC0415 - heavy: imported while the server starts

        first = self.usecases[0]
        self._start("console", [sys.executable, "-m", "refit.console"])
        if any(usecase.name == SIMULATED for usecase in self.usecases):
            loaded = load_demo(world, _now())
            self.clock.say(f"The demo loan book is loaded: {loaded.added:,} loans added, {loaded.changed:,} changed")
        self._until(server.is_healthy, "prefect-server", SERVER_SECONDS)
        self.clock.say(f"The Prefect server answers on {self._url(self.settings.prefect_port)}")
        self._deploy(server)
        self._start_service(first)  # it waits for a release, and is warm by the time there is one
        runs = {usecase.name: self._start_night(server, usecase) for usecase in self.usecases}
        for usecase in self.usecases:
            self._see_through(server, usecase, runs[usecase.name])
        self._until(lambda: self._is_served(world, first), "service", SERVICE_SECONDS)
        self._until(lambda: self._answers(self.settings.console_port, "/healthz"), "console", SERVICE_SECONDS)
        self._score_example(first)
        self.clock.plain(self._banner(world, first))
        while True:
            self._look()
            time.sleep(5 * LOOK_SECONDS)

    def _look(self, passing: Sequence[str] = ()) -> None:
        """See that every part lives; those that can be are started again, and go on from where the ledger stands."""
        for line in self.processes.revive(*REVIVED):
            self.clock.say(f"{line}; it is started again")
        self.processes.check(passing=passing)

    @contextmanager
    def _database(self) -> Generator[str, None, None]:
        """Give the address of the database: the one the settings name, or the embedded one's."""
        if self.settings.database_url is not None:
            yield self.settings.database_url.get_secret_value()
            return
        from refit.store import embedded  # noqa: PLC0415 - heavy: imported while the server starts

        with embedded.running(self.settings.folder / "postgres") as url:
            self.clock.say("Postgres runs")
            yield url

    def _deploy(self, server: PrefectServer) -> None:
        """Deploy `prefect.yaml` while the worker starts; it gets no run before all is in place."""
        started = _now()
        server.keep_pool(POOL, is_paused=True)
        broken, missed = server.clear_the_past(started)
        if broken or missed:
            self.clock.say(
                f"From last time: {broken} runs broken off, {missed} nights missed; this one takes it all in"
            )
        self._start_deploy()
        self._start("worker", [*PREFECT, "worker", "start", "--pool", POOL, "--type", "process", "--name", "refit-up"])
        self._until(self._is_deployed, "deploy", math.inf, passing=("deploy",))
        for automation in automations.ALL:
            server.keep_automation(automation)
        self._until(lambda: server.has_fresh_worker(POOL, started), "worker", WORKER_SECONDS)
        server.keep_pool(POOL, is_paused=False)
        self.clock.say("The worker is ready, and every flow of prefect.yaml is deployed")

    def _start_deploy(self) -> None:
        self._start("deploy", deploy_command(), folder=ROOT)

    def _is_deployed(self) -> bool:
        """Say whether all is deployed; a try that fails or hangs is followed by another, which harms nothing.

        Raises:
            OutageError: The last try was in vain; shows the end of its log.
        """
        try:
            return self.processes.ended("deploy", within=DEPLOY_SECONDS)
        except OutageError as error:
            self.deploy_tries -= 1
            if not self.deploy_tries:
                raise
            self.clock.say(f"{str(error).partition(';')[0]}; it is started again")
            self.processes.stop("deploy", patience_seconds=STOP_SECONDS, whole_tree=True)
            self._start_deploy()
            return False

    def _start_night(self, server: PrefectServer, usecase: UseCase) -> str:
        return server.start(f"nightly/nightly-{usecase.name}", f"nightly-{usecase.name}-{_now():%Y-%m-%d}")

    def _see_through(self, server: PrefectServer, usecase: UseCase, run: str) -> None:
        """Follow a night to its end; one that crashed is followed by another, which goes on from there.

        Raises:
            OutageError: A night failed, or one after the other crashed.
        """
        for left in reversed(range(NIGHT_TRIES)):
            state = self._follow(server, usecase.name, run)
            if state.type == "COMPLETED":
                return
            if state.type != "CRASHED" or not left:
                said = f"the night of {usecase.name} ended {state.name}: {state.message.strip()}"
                raise OutageError(f"{said}; see {self._page(run)}")
            self.clock.say(f"The night of {usecase.name} crashed: {state.message.strip()}")
            run = self._start_night(server, usecase)

    def _follow(self, server: PrefectServer, usecase: str, run: str) -> RunState:
        """Wait for a night to end, tell what it does meanwhile, and return how it ended."""
        self.clock.say(f"The night of {usecase} starts through its deployment: {self._page(run)}")
        told: dict[str, str] = {}

        def is_over() -> bool:
            for name, state in server.tasks(run).items():
                if told.get(name) != state and state not in {"Pending", "Scheduled"}:
                    self.clock.say(f"  {name}: {state.lower()}")
                told[name] = state
            return server.state(run).is_final

        self._until(is_over, "worker", NIGHT_SECONDS, every=5 * LOOK_SECONDS)
        return server.state(run)

    def _page(self, run: str) -> str:
        return f"{self._url(self.settings.prefect_port)}/runs/flow-run/{run}"

    def _start_service(self, usecase: UseCase) -> None:
        self._start("service", [str(Path(sys.executable).with_name("refit")), "serve", usecase.name])

    def _start(self, name: str, command: Sequence[str], *, folder: Path | None = None) -> None:
        self.processes.start(name, command, environment(self.settings), folder or self.settings.folder)

    def _stop_parts(self) -> None:
        """Stop the worker and its runs while the server can still hear of it, and the server while Postgres runs."""
        self.processes.stop("worker", "deploy", patience_seconds=STOP_SECONDS, whole_tree=True)
        self.processes.stop("service", "console", "prefect-server", patience_seconds=STOP_SECONDS)

    def _until(
        self,
        condition: Callable[[], bool],
        what: str,
        seconds: float,
        *,
        every: float = LOOK_SECONDS,
        passing: Sequence[str] = (),
    ) -> None:
        """Wait for a condition while every part lives.

        Raises:
            OutageError: It took too long, or a part died.
        """
        end = time.monotonic() + seconds
        while not condition():
            self._look(passing)
            if time.monotonic() > end:
                raise self.processes.late(what, seconds)
            time.sleep(every)

    def _is_served(self, world: "World", usecase: UseCase) -> bool:
        """Say whether the service answers with a model.

        Raises:
            ReleaseError: There is none, and none will come by itself.
        """
        if world.ledger.live(usecase.name) is None:
            tried = world.ledger.releases(usecase.name, limit=1)
            why = tried[0].reason if tried else "the gate refused the challenger, or nothing has matured"
            raise ReleaseError(f"no model of {usecase.name} is live: {why}; `refit status {usecase.name}` says more")
        return self._answers(self.settings.service_port, "/readyz")

    def _answers(self, port: int, path: str) -> bool:
        try:
            return httpx.get(f"{self._url(port)}{path}", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _score_example(self, usecase: UseCase) -> None:
        """Send what the banner tells people to send, so that it is known to work."""
        try:
            answer = httpx.post(
                f"{self._url(self.settings.service_port)}/predict", json=usecase.example, timeout=20, trust_env=False
            )
        except httpx.HTTPError as error:
            raise OutageError(f"the service does not answer: {error}") from None
        if answer.status_code != httpx.codes.OK:
            raise OutageError(
                f"the service answered {answer.status_code} to the example of {usecase.name}: {answer.text[:300]}"
            )

    def _banner(self, world: "World", usecase: UseCase) -> str:
        settings, live = self.settings, world.ledger.live(usecase.name)
        reports = world.ledger.reports(usecase.name, limit=1, kind="drift")
        body = shlex.quote(json.dumps(dict(usecase.example), separators=(",", ":")))
        lines = [
            "",
            f"refit is up after {self.clock.seconds:.0f} s.",
            "",
            f"  Prefect UI  {self._url(settings.prefect_port)}   runs, schedules, what each night did",
            f"  Console     {self._url(settings.console_port)}   live models, decisions, drift reports",
            f"  Service     {self._url(settings.service_port)}   {live.version if live else ''}",
        ]
        if reports:
            page = report_url(settings, str(reports[0].id))
            lines += ["", f"  The newest drift report: {page}"]
        lines += [
            "",
            "  Score an applicant:",
            f"  curl -s {self._url(settings.service_port)}/predict -H 'content-type: application/json' -d {body}",
            "",
            f"  Logs: {settings.folder / 'logs'}   Stop: Ctrl-C",
            "",
        ]
        return "\n".join(lines)

    def _url(self, port: int) -> str:
        return f"http://{shown_host(self.settings.host)}:{port}"


def _counted(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> _counted(1, "night"), _counted(0, "run")
    ('1 night', '0 runs')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _now() -> datetime:
    return datetime.now(UTC)


def deploy_command() -> list[str]:
    """Return the command that deploys all of `prefect.yaml`, to be run in `ROOT`."""
    return [*PREFECT, "--no-prompt", "deploy", "--all", "--prefect-file", str(prefect_file())]


def prefect_file() -> Path:
    """Return `prefect.yaml`: beside `flows/` in a checkout, inside the package once installed."""
    beside = ROOT / "prefect.yaml"
    return beside if beside.exists() else ROOT / "refit" / "prefect.yaml"
