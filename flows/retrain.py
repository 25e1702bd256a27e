"""A retrain by itself, asked for from the UI: train a challenger, let the gate judge it, release it if it is better."""

from dataclasses import replace
from datetime import date

from prefect import flow, get_run_logger

from flows import steps
from flows.artifacts import Account, leave_summary
from refit.errors import RefitError
from refit.settings import Settings
from refit.usecase import catalogue


@flow(name="retrain", flow_run_name=steps.run_name)
def retrain(usecase: str, as_of: date | None = None, recalibrate: bool = False) -> str:
    """Train on what was taken in so far. A challenger that is not better is refused, and the champion stays.

    Args:
        usecase: The name of the use case, like demo or sba.
        as_of: The last day to look at, whole, in UTC; nothing later is seen. Left empty: up to now.
        recalibrate: Keep the model as it is, and fit only its calibration and threshold anew.

    Returns:
        The gate's verdict: promote or refuse.
    """
    run = Account(catalogue.find(usecase, Settings.read().usecases), steps.moment(as_of))
    get_run_logger().info("%s, as of %s.", run.usecase.title, run.as_of.isoformat(timespec="minutes"))
    try:
        retrained = steps.retrain(usecase, run.as_of, decision_id=None, recalibrate=recalibrate)
        run = replace(run, retrained=retrained)
        if retrained.verdict.outcome == "promote":
            run = replace(run, released=steps.release(usecase, retrained.version, run.as_of))
    except RefitError as error:
        leave_summary(replace(run, stopped=str(error)))
        raise
    leave_summary(run)
    return retrained.verdict.outcome
