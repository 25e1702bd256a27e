"""Hooks that tell of a run that failed, or that was killed: Prefect calls the latter for it."""

from typing import Any

from prefect.client.schemas.objects import FlowRun, State

from flows.steps import moment
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from refit.loop.alert import Alert, send
from refit.settings import Settings

OURS = (ContractError, DataError, OutageError, ReleaseError)


def tell_failure(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - a hook's signature
    """Send the alert of a run that ended badly."""
    given = flow_run.parameters
    usecase = str(given.get("usecase", ""))
    summary = f"{usecase}: the run {flow_run.name} ended {state.name}"
    message = state.message or ""
    # The message of an error that is not ours may hold a record's value.
    reasons = (message,) if any(f"{kind.__name__}:" in message for kind in OURS) else ()
    send(Settings.read(), Alert("night_failed", usecase, moment(None), summary, reasons))
