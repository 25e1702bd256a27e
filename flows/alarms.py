"""Hooks that tell of a run that failed, or that was killed: Prefect calls the latter for it."""

from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.states import get_state_exception

from flows.steps import moment
from refit.errors import RefitError
from refit.loop.alert import Alert, send
from refit.settings import Settings


def tell_failure(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - a hook's signature
    """Send the alert of a run that ended badly."""
    given = flow_run.parameters
    usecase = str(given.get("usecase", ""))
    summary = f"{usecase}: the run {flow_run.name} ended {state.name}"
    error = get_state_exception(state)
    reasons = (str(error),) if isinstance(error, RefitError) else ()  # any other message may hold a record's value
    send(Settings.read(), Alert("night_failed", usecase, moment(None, usecase), summary, reasons))
