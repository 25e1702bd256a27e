"""A retrain by itself: asked for by monitoring's event, by the week, or by hand from the UI."""

from dataclasses import replace
from datetime import date

from prefect import flow, get_run_logger

from flows import steps
from flows.alarms import tell_failure
from flows.artifacts import leave_summary
from flows.artifacts_summary import Account
from refit.settings import Settings
from refit.usecase import catalogue
from refit.usecase.model import UseCase

ROUNDS = 3
"""So often a requested run looks whether a newer request came in while it trained; later ones have their own event."""


@flow(name="retrain", flow_run_name=steps.run_name, on_failure=[tell_failure], on_crashed=[tell_failure])
def retrain(usecase: str, as_of: date | None = None, recalibrate: bool = False, requested: bool = False) -> str:
    """Train on what was taken in so far. A challenger that is not better is refused, and the champion stays.

    Args:
        usecase: The name of the use case, like demo or sba.
        as_of: The last day to look at, whole, in UTC; nothing later is seen. Left empty: up to now.
        recalibrate: Keep the model as it is, and fit only its calibration and threshold anew.
        requested: Only carry out what monitoring asked for, as of the day it did; end at once where nothing is open.

    Returns:
        The gate's verdict, promote or refuse; none where nothing was left to do.
    """
    found = catalogue.find(usecase, Settings.read().usecases)
    if requested:
        return _carry_out(found)
    run = Account(found, steps.moment(as_of, usecase))
    if (nothing := steps.nothing_to_learn(usecase)) is not None:
        leave_summary(replace(run, nothing=nothing))
        return "none"
    return _retrained(run, None, recalibrate=recalibrate)


def _carry_out(usecase: UseCase) -> str:
    """Carry out the newest open decision, and with it every older one; then look again."""
    outcome = "none"
    for _ in range(ROUNDS):
        asked = steps.find_request(usecase.name)
        if asked is None:
            if outcome == "none":
                get_run_logger().info("Nothing is left to do: what was asked for has been carried out.")
            return outcome
        for why in asked.reasons:
            get_run_logger().info("Asked for, because: %s", why)
        outcome = _retrained(Account(usecase, asked.as_of), asked.decision_id, recalibrate=asked.recalibrate)
    return outcome


def _retrained(run: Account, decision_id: str | None, *, recalibrate: bool) -> str:
    name = run.usecase.name
    get_run_logger().info("%s, as of %s.", run.usecase.title, run.as_of.isoformat(timespec="minutes"))
    try:
        retrained = steps.retrain(name, run.as_of, decision_id=decision_id, recalibrate=recalibrate)
        run = replace(run, retrained=retrained)
        if retrained.verdict.outcome == "promote":
            run = replace(run, released=steps.release(name, retrained.version, run.as_of))
    except Exception as error:
        leave_summary(replace(run, stopped=steps.told(error)))
        raise
    leave_summary(run)
    return retrained.verdict.outcome
