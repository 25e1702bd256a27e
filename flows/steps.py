"""The steps of `refit.loop` as Prefect tasks, shared by the flows.

Each opens the stores for itself, so that a retry starts clean. Only an outage is retried: wrong data, a wrong contract
and a refused release stay what they are until somebody looks. What a step needs it imports when it runs: deploying and
starting a flow would otherwise wait seconds for libraries that most nights never use.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect import Task, get_run_logger, runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import get_state_exception

from flows.addresses import frame_url, report_url
from flows.artifacts import leave_drift, leave_picture, leave_progress
from flows.artifacts_summary import Account
from flows.events import tell_decision
from flows.pictures import SHOWN_RUNS, psi_picture
from refit.errors import OutageError, RefitError
from refit.loop.alert import of_decision, of_verdict, send
from refit.loop.days import end_of, lived
from refit.settings import Settings
from refit.trace import places

if TYPE_CHECKING:
    from refit.loop.ingest import Ingested
    from refit.loop.monitor import Monitored
    from refit.loop.release import Released
    from refit.loop.retrain import Retrained

P = ParamSpec("P")
Result = TypeVar("Result")

RETRIES: Final = 3
BACK_OFF_SECONDS: Final = [5.0, 20.0, 60.0]


def an_outage(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Say whether a task failed of an outage, the one failure that a retry can help."""
    return isinstance(get_state_exception(state), OutageError)


def moment(day: date | None, usecase: str) -> datetime:
    """Return the end of a day, or now: the one place where a flow reads the clock.

    >>> moment(date(2003, 6, 30), "sba").isoformat()
    '2003-06-30T23:59:59.999999+00:00'

    Raises:
        ContractError: The day is still to come.
    """
    now = datetime.now(UTC)
    return now if day is None else lived(end_of(day), now, usecase)


def run_name() -> str:
    """Return `FLOW-USECASE-DAY` of the run that is starting; without a day, the day it was scheduled for."""
    given = runtime.flow_run.parameters
    day = given.get("as_of") or runtime.flow_run.scheduled_start_time
    return f"{runtime.flow_run.flow_name}-{given['usecase']}-{str(day)[:10]}"


def step(function: Callable[P, Result]) -> Task[P, Result]:
    """Make a function a task of its name. Asked for again it is done again: the ledger tells what is done already."""
    return Task(
        _without_values(function),
        name=function.__name__,
        retries=RETRIES,
        retry_delay_seconds=BACK_OFF_SECONDS,
        retry_condition_fn=an_outage,
        cache_policy=NO_CACHE,
        persist_result=False,
    )


def _without_values(function: Callable[P, Result]) -> Callable[P, Result]:
    """Have a fault that is not ours say where it was and no more: Prefect keeps messages, and they may hold values."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except RefitError:
            raise
        except Exception as error:  # noqa: BLE001 - every fault that is not ours
            where = " | ".join(places(error))
            raise RuntimeError(f"a fault of refit's own: {type(error).__name__} at {where}") from None

    return run


def told(error: Exception) -> str:
    """Return what a summary says of a failure: the message of an error that is not ours may hold a record's value.

    >>> told(OutageError("Postgres is down")), told(KeyError("Ms Smith"))
    ('Postgres is down', "a fault of refit's own; the log has the trace")
    """
    return str(error) if isinstance(error, RefitError) else "a fault of refit's own; the log has the trace"


def shown_at(settings: Settings, monitored: "Monitored") -> str | None:
    """Return where the console shows the run's report, None where there is none."""
    if monitored.report_id is None:
        return None
    return report_url(settings, monitored.report_id)


@step
def nothing_yet(usecase: str, as_of: datetime, started_at: datetime) -> str | None:
    """Say why there is nothing to do for a use case that nobody has loaded yet; None where there is something."""
    from refit.loop import nightly as nights  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with open_world(Settings.read()) as world:
        why = nights.nothing_yet(world, world.usecase(usecase))
        if why is not None:
            nights.record_nothing(world, usecase, as_of, started_at, why)
    return _logged(why)


@step
def nothing_to_learn(usecase: str) -> str | None:
    """Say why there is nothing to train on where nothing was ever taken in; None where something was."""
    from refit.loop import nightly as nights  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with open_world(Settings.read()) as world:
        why = nights.nothing_to_learn(world, world.usecase(usecase))
    return _logged(why)


def _logged(why: str | None) -> str | None:
    if why is not None:
        get_run_logger().info("Nothing to do: %s.", why)
    return why


@step
def ingest(usecase: str, as_of: datetime) -> "Ingested":
    """Take in the records that are new."""
    from refit.loop import ingest as ingesting  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with open_world(Settings.read()) as world:
        done = ingesting.ingest(world, world.usecase(usecase), as_of)
    get_run_logger().info("Took in %s records, refused %s.", f"{done.n_records:,}", f"{done.n_rejected:,}")
    return done


@step
def monitor(usecase: str, as_of: datetime) -> "Monitored":
    """Check for drift, decide, and leave the drift table and the report."""
    from refit.loop import monitor as monitoring  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    settings = Settings.read()
    with open_world(settings) as world:
        found = world.usecase(usecase)
        done = monitoring.monitor(world, found, as_of)
        history = world.ledger.decisions(usecase, limit=SHOWN_RUNS)
    url = shown_at(settings, done)
    if done.drift is not None:
        framed = None if done.report_id is None else frame_url(settings, done.report_id)
        leave_drift(Account(found, as_of, monitored=done, report_url=url), done.drift, framed)
    if (picture := psi_picture(history, found.drift.warn, found.drift.act)) is not None:
        leave_picture(found, picture)
    log = get_run_logger()
    log.info("Decided: %s.", done.decision.action)
    for reason in done.decision.reasons:
        log.info("Because: %s", reason.why)
    if url is not None:
        log.info("The full drift report is at %s", url)
    send(settings, of_decision(usecase, as_of, done))
    if (event := tell_decision(usecase, as_of, done)) is not None:
        log.info("Told the server: %s.", event)
    return done


def _told(usecase: str, say: Callable[[str], None]) -> Callable[[str, float | None], None]:
    """Tell of each stage when it begins, and move the bar; a training that reports every tree would fill the log."""
    said: set[str] = set()
    move = leave_progress(usecase)

    def progress(text: str, fraction: float | None) -> None:
        if text not in said:
            said.add(text)
            say(text)
        if fraction is not None:
            move(fraction)

    return progress


@step
def retrain(usecase: str, as_of: datetime, *, decision_id: str | None, recalibrate: bool) -> "Retrained":
    """Train a challenger and let the gate judge it."""
    from refit.loop import retrain as retraining  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    log, settings = get_run_logger(), Settings.read()
    with open_world(settings) as world:
        done = retraining.retrain(
            world,
            world.usecase(usecase),
            as_of,
            decision_id=decision_id,
            recalibrate=recalibrate,
            progress=_told(usecase, log.info),
        )
    log.info("The gate's verdict on %s: %s.", done.version, done.verdict.outcome)
    for check in done.verdict.checks:
        log.info("%s: %s, %s", check.name, check.outcome, check.why)
    if not done.carried_out_before:
        send(settings, of_verdict(usecase, as_of, done))
    return done


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that nobody has carried out yet."""

    decision_id: str
    as_of: datetime
    recalibrate: bool
    reasons: tuple[str, ...]


@step
def find_request(usecase: str) -> Asked | None:
    """Look in the ledger for the newest decision that is still to be carried out."""
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with open_world(Settings.read()) as world:
        found = world.ledger.open_decisions(usecase)
    if not found:
        return None
    newest = found[0]
    why = tuple(str(reason.get("why", "")) for reason in newest.reasons)
    return Asked(str(newest.id), newest.as_of, newest.action == "recalibrate", why)


@step
def catch_up(usecase: str, as_of: datetime) -> "Released | None":
    """Put live what an earlier night promoted and was cut off before releasing."""
    from refit.loop import release as releasing  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with open_world(Settings.read()) as world:
        done = releasing.catch_up(world, world.usecase(usecase), as_of)
    if done is not None:
        get_run_logger().info("%s was promoted on an earlier night and is live only now.", done.version)
    return done


@step
def release(usecase: str, version: str, as_of: datetime) -> "Released":
    """Pack the promoted challenger as a Bento and put it live."""
    from refit.loop import release as releasing  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with open_world(Settings.read()) as world:
        done = releasing.release(world, world.usecase(usecase), version, as_of)
    get_run_logger().info("%s is live as %s.", done.version, done.bento_tag)
    return done


@step
def record(run: Account, started_at: datetime) -> None:
    """Keep the night in the ledger."""
    from refit.loop.nightly import Night, record_night  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    if run.ingested is None or run.monitored is None:
        raise AssertionError("a night that is recorded has taken in and monitored")
    night = Night(run.usecase.name, run.as_of, run.ingested, run.monitored, run.retrained, run.released)
    with open_world(Settings.read()) as world:
        record_night(world, night, started_at)


def record_failed(run: Account, started_at: datetime, error: Exception) -> None:
    """Keep a night that failed in the ledger. No task: where the ledger is what failed there is nothing to retry."""
    from refit.loop.nightly import record_failure  # noqa: PLC0415 - see above
    from refit.loop.wiring import open_world  # noqa: PLC0415 - see above

    with suppress(RefitError), open_world(Settings.read()) as world:
        record_failure(world, run.usecase.name, run.as_of, started_at, error)
