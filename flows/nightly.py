"""The nightly run: take in, check for drift, decide; and where that was decided, train, judge and release."""

from dataclasses import replace
from datetime import UTC, date, datetime

from prefect import flow, get_run_logger

from flows import steps
from flows.alarms import tell_failure
from flows.artifacts import leave_summary
from flows.artifacts_summary import Account
from refit.settings import Settings
from refit.usecase import catalogue


@flow(name="nightly", flow_run_name=steps.run_name, on_failure=[tell_failure], on_crashed=[tell_failure])
def nightly(usecase: str, as_of: date | None = None) -> str:
    """Run one night of a use case. Run again, it goes on from where the ledger stands.

    Args:
        usecase: The name of the use case, like demo or sba.
        as_of: The last day to look at, whole, in UTC; nothing later is seen. Left empty: up to now.

    Returns:
        What was decided: none, block, wait, recalibrate or retrain; none too where nobody has loaded its table yet.
    """
    started_at = datetime.now(UTC)
    settings = Settings.read()
    run = Account(catalogue.find(usecase, settings.usecases), steps.moment(as_of, usecase))
    get_run_logger().info("%s, as of %s.", run.usecase.title, run.as_of.isoformat(timespec="minutes"))
    try:
        if (nothing := steps.nothing_yet(usecase, run.as_of, started_at)) is not None:
            leave_summary(replace(run, nothing=nothing))
            return "none"
        run = replace(run, released=steps.catch_up(usecase, run.as_of))
        run = replace(run, ingested=steps.ingest(usecase, run.as_of))
        monitored = steps.monitor(usecase, run.as_of)
        run = replace(run, monitored=monitored, report_url=steps.shown_at(settings, monitored))
        action = monitored.decision.action
        if action in {"retrain", "recalibrate"}:
            retrained = steps.retrain(
                usecase, run.as_of, decision_id=monitored.decision_id, recalibrate=action == "recalibrate"
            )
            run = replace(run, retrained=retrained)
            if retrained.verdict.outcome == "promote":
                run = replace(run, released=steps.release(usecase, retrained.version, run.as_of))
        steps.record(run, started_at)
    except Exception as error:
        steps.record_failed(run, started_at, error)
        leave_summary(replace(run, stopped=steps.told(error)))
        raise
    leave_summary(run)
    return action
