"""What the steps of a night give back, made by hand."""

from datetime import UTC, datetime

from flows.artifacts_summary import Account
from refit.gate.judge import Check, Verdict
from refit.loop.ingest import Ingested
from refit.loop.monitor import Monitored
from refit.loop.release import Released
from refit.loop.retrain import Retrained
from refit.monitoring.psi import ColumnDrift, Drift
from refit.monitoring.triage import Decision, Reason
from refit.usecase.catalogue import find

AS_OF = datetime(2026, 3, 17, 2, tzinfo=UTC)
VERSION = "demo-20260317-ab12cd34ef56"


def column(name, status, psi, *, why="as before", kind="number", role="feature"):
    return ColumnDrift(
        column=name,
        kind=kind,
        role=role,
        status=status,
        psi=psi,
        missing_reference=0.02,
        missing_current=0.021,
        unseen_share=None,
        unseen_expected=None,
        importance=0.2,
        why=why,
    )


def drift(*columns, score=None):
    return Drift(9000, 1234, columns or (column("income", "stable", 0.01),), score)


def about(column, why):
    return Reason("minor_drift", why, column)


def monitored(action="none", *, reasons=("nothing moved",), seen=None, report_id="r-1"):
    """Return what monitoring gave; a reason is a text, or comes from `about`."""
    decided = Decision(action, tuple(about(None, why) if isinstance(why, str) else why for why in reasons))
    return Monitored("d-1", decided, seen, report_id, 9000, 1234)


def retrained(outcome="promote", *, checks=None):
    lines = checks or (Check("floor", "pass", 0.74, "at least 0.65", "roc auc is 0.740"),)
    return Retrained(
        VERSION, "xgboost", {"roc_auc": {"value": 0.7412, "low": 0.70, "high": 0.77}}, Verdict(outcome, lines)
    )


def account(**steps):
    return Account(find("demo"), AS_OF, **steps)


INGESTED = Ingested(1234, 0, "f" * 64, None)
RELEASED = Released(1, VERSION, f"refit_demo:{VERSION}", "release")
