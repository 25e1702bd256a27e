from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
from prefect.logging import disable_run_logger
from prefect.states import Failed

from flows import nightly as nights
from flows import retrain as retrains
from flows import steps
from flows.nightly import nightly
from flows.retrain import ROUNDS, retrain
from refit.errors import ContractError, DataError, OutageError, ReleaseError
from tests.unit.flows.nights import AS_OF, INGESTED, RELEASED, VERSION, drift, monitored, retrained

DAY = date(2026, 3, 17)
NIGHT = ["nothing_yet", "catch_up", "ingest", "monitor"]
FAULT = "a fault of refit's own; the log has the trace"
STEPS = (
    "nothing_yet",
    "nothing_to_learn",
    "find_request",
    "catch_up",
    "ingest",
    "monitor",
    "retrain",
    "release",
    "record",
    "record_failed",
)


class FakeSteps:
    """The steps of a night: each gives what it was told to, and keeps that it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []
        self.summaries = []

    def __getattr__(self, name):
        def step(*args, **kwargs):
            self.asked.append((name, args, kwargs))
            answer = self.answers.get(name)
            if isinstance(answer, list):
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return step

    @property
    def names(self):
        return [name for name, _, _ in self.asked]


@pytest.fixture
def run(monkeypatch):
    @contextmanager
    def with_steps(**answers):
        fake = FakeSteps(**{"ingest": INGESTED, "release": RELEASED, **answers})
        for name in STEPS:
            monkeypatch.setattr(steps, name, getattr(fake, name))
        for module in (nights, retrains):
            monkeypatch.setattr(module, "leave_summary", fake.summaries.append)
        with disable_run_logger():
            yield fake

    return with_steps


def test_a_quiet_night_ends_with_its_decision(run):
    with run(monitor=monitored("none")) as fake:
        assert nightly.fn("demo", DAY) == "none"
    assert fake.names == [*NIGHT, "record"]


def test_a_night_of_a_use_case_that_nobody_has_loaded_does_nothing_and_says_so(run):
    with run(nothing_yet="there is no table source.demo_loans yet") as fake:
        assert nightly.fn("demo", DAY) == "none"
    assert fake.names == ["nothing_yet"]
    assert [account.nothing for account in fake.summaries] == ["there is no table source.demo_loans yet"]


def test_a_retrain_of_a_use_case_with_nothing_in_it_does_nothing_and_says_so(run):
    with run(nothing_to_learn="nothing was taken in yet") as fake:
        assert retrain.fn("demo", DAY) == "none"
    assert fake.names == ["nothing_to_learn"]
    assert [account.nothing for account in fake.summaries] == ["nothing was taken in yet"]


def test_what_an_earlier_night_promoted_goes_live_first(run):
    with run(catch_up=RELEASED, monitor=monitored("none")) as fake:
        nightly.fn("demo", DAY)
    assert fake.names[1] == "catch_up"
    assert fake.summaries[0].released is RELEASED


@pytest.mark.parametrize("action", ["none", "block", "wait"])
def test_nothing_is_trained_unless_it_was_decided(run, action):
    with run(monitor=monitored(action)) as fake:
        nightly.fn("demo", DAY)
    assert "retrain" not in fake.names


def test_a_promoted_challenger_is_released(run):
    with run(monitor=monitored("retrain"), retrain=retrained("promote")) as fake:
        nightly.fn("demo", DAY)
    assert fake.names == [*NIGHT, "retrain", "release", "record"]
    assert dict(zip(("usecase", "version"), fake.asked[5][1], strict=False)) == {"usecase": "demo", "version": VERSION}


def test_a_refused_challenger_is_not_released_and_the_night_is_none_the_worse(run):
    with run(monitor=monitored("retrain"), retrain=retrained("refuse")) as fake:
        assert nightly.fn("demo", DAY) == "retrain"
    assert "release" not in fake.names
    assert fake.summaries[0].retrained.verdict.outcome == "refuse"


@pytest.mark.parametrize(("action", "recalibrates"), [("retrain", False), ("recalibrate", True)])
def test_the_decision_says_how_to_train_and_is_handed_on(run, action, recalibrates):
    with run(monitor=monitored(action), retrain=retrained()) as fake:
        nightly.fn("demo", DAY)
    assert fake.asked[4][2] == {"decision_id": "d-1", "recalibrate": recalibrates}


def test_the_night_is_kept_in_the_ledger_with_all_its_steps(run):
    with run(monitor=monitored("retrain", seen=drift()), retrain=retrained()) as fake:
        nightly.fn("demo", DAY)
    (run_of_all, started_at), _ = fake.asked[-1][1:]
    assert run_of_all.ingested == INGESTED
    assert run_of_all.monitored.decision.action == "retrain"
    assert run_of_all.retrained.verdict.outcome == "promote"
    assert run_of_all.released == RELEASED
    assert started_at <= datetime.now(UTC)


def test_what_an_earlier_night_promoted_is_put_live_first(run):
    with run(catch_up=RELEASED, monitor=monitored("none")) as fake:
        nightly.fn("demo", DAY)
    assert fake.names[1] == "catch_up"
    assert fake.summaries[0].released == RELEASED


def test_a_day_is_looked_at_to_its_end(run):
    with run(monitor=monitored()) as fake:
        nightly.fn("demo", DAY)
    seen = {name: args[0].as_of if name == "record" else args[1] for name, args, _ in fake.asked}
    assert seen == dict.fromkeys([*NIGHT, "record"], datetime(2026, 3, 17, 23, 59, 59, 999999, tzinfo=UTC))


@pytest.mark.parametrize("flow", [nightly, retrain], ids=["nightly", "retrain"])
def test_a_day_to_come_is_refused_before_anything_is_done(run, flow):
    with run(monitor=monitored(), retrain=retrained()) as fake, pytest.raises(ContractError, match="still to come"):
        flow.fn("sba", date(2962, 6, 30))
    assert fake.asked == []


def test_without_a_day_it_looks_up_to_now(run):
    before = datetime.now(UTC)
    with run(monitor=monitored()) as fake:
        nightly.fn("demo")
    assert before <= fake.asked[0][1][1] <= datetime.now(UTC)


@pytest.mark.parametrize("step", [*NIGHT, "retrain", "release", "record"])
@pytest.mark.parametrize(
    ("error", "told"),
    [(DataError("no labels have matured"), "no labels have matured"), (RuntimeError("Ms Smith, 41"), FAULT)],
    ids=["explained", "a fault of our own"],
)
def test_a_failure_is_told_in_the_summary_and_kept_in_the_ledger_and_still_fails_the_run(run, step, error, told):
    answers = {"monitor": monitored("retrain"), "retrain": retrained(), step: error}
    with run(**answers) as fake, pytest.raises(type(error)):
        nightly.fn("demo", DAY)
    assert [account.stopped for account in fake.summaries] == [told]
    name, (account, started_at, kept), _ = fake.asked[-1]
    assert (name, account.usecase.name, kept) == ("record_failed", "demo", error)
    assert started_at <= datetime.now(UTC)


def test_a_night_that_fails_is_kept_even_where_its_summary_cannot_be_left(run, monkeypatch):
    def away(_):
        raise ConnectionError

    with run(ingest=DataError("wrong")) as fake:
        monkeypatch.setattr(nights, "leave_summary", away)
        with pytest.raises(ConnectionError):
            nightly.fn("demo", DAY)
    assert fake.names[-1] == "record_failed"


@pytest.mark.parametrize(
    ("error", "told"), [(DataError("one class only"), "one class only"), (RuntimeError("Ms Smith, 41"), FAULT)]
)
def test_a_retrain_that_fails_says_so_in_its_summary(run, error, told):
    with run(retrain=error) as fake, pytest.raises(type(error)):
        retrain.fn("demo", DAY)
    assert [account.stopped for account in fake.summaries] == [told]


def test_the_summary_links_the_report_of_this_run(run):
    with run(monitor=monitored(report_id="r-7")) as fake:
        nightly.fn("demo", DAY)
    assert fake.summaries[0].report_url == "http://127.0.0.1:8080/reports/r-7"


def test_an_unknown_use_case_fails_before_anything_is_done(run):
    with run() as fake, pytest.raises(ContractError, match="choose from"):
        nightly.fn("nobody")
    assert fake.asked == []


@pytest.mark.parametrize(("outcome", "names"), [("promote", ["retrain", "release"]), ("refuse", ["retrain"])])
def test_a_retrain_by_itself_releases_only_what_the_gate_promotes(run, outcome, names):
    with run(retrain=retrained(outcome)) as fake:
        assert retrain.fn("demo", DAY) == outcome
    assert fake.names == ["nothing_to_learn", *names]
    assert len(fake.summaries) == 1


def test_a_requested_retrain_carries_out_what_is_open_as_of_the_day_it_was_asked_for(run):
    open_ = [steps.Asked("d-9", AS_OF, recalibrate=True, reasons=("scores moved",)), None]
    with run(retrain=retrained()) as fake:
        fake.answers["find_request"] = open_
        assert retrain.fn("demo", requested=True) == "promote"
    assert fake.names == ["find_request", "retrain", "release", "find_request"]
    assert fake.asked[1][1:] == (("demo", AS_OF), {"decision_id": "d-9", "recalibrate": True})


def test_a_requested_retrain_with_nothing_open_does_nothing(run):
    with run(find_request=None) as fake:
        assert retrain.fn("demo", requested=True) == "none"
    assert fake.names == ["find_request"]


def test_requests_that_keep_coming_do_not_keep_one_run_for_ever(run):
    again = steps.Asked("d-9", AS_OF, recalibrate=False, reasons=())
    with run(find_request=again, retrain=retrained("refuse")) as fake:
        assert retrain.fn("demo", requested=True) == "refuse"
    assert fake.names.count("retrain") == ROUNDS


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OutageError("Postgres is down"), True),
        (DataError("one class only"), False),
        (ContractError("no such column"), False),
        (ReleaseError("refused"), False),
        (RuntimeError("a fault of ours"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_an_outage_is_tried_again(error, again):
    assert steps.an_outage(None, None, Failed(data=error)) is again


@pytest.mark.parametrize("step", sorted({*STEPS} - {"record_failed"}))
def test_every_step_is_tried_again_with_longer_and_longer_waits(step):
    task = getattr(steps, step)
    assert task.retry_condition_fn is steps.an_outage
    assert task.retries == len(task.retry_delay_seconds) == 3
    assert task.retry_delay_seconds == sorted(task.retry_delay_seconds)


@pytest.mark.parametrize(
    ("flow", "wanted"), [(nightly, {"usecase", "as_of"}), (retrain, {"usecase", "as_of", "recalibrate", "requested"})]
)
def test_the_form_in_the_ui_explains_every_parameter(flow, wanted):
    schema = flow.parameters.model_dump()
    assert set(schema["properties"]) == wanted
    assert all(len(field["description"]) > 20 for field in schema["properties"].values())
    assert schema["required"] == ["usecase"]


@pytest.mark.parametrize(
    ("given", "scheduled", "name"),
    [
        ({"usecase": "demo", "as_of": DAY}, None, "nightly-demo-2026-03-17"),
        ({"usecase": "demo", "as_of": "2026-03-17"}, None, "nightly-demo-2026-03-17"),
        ({"usecase": "sba", "as_of": None}, datetime(2026, 3, 18, 2, tzinfo=UTC), "nightly-sba-2026-03-18"),
    ],
    ids=["a day", "a day as text", "the day it is due"],
)
def test_a_run_is_named_after_its_use_case_and_its_day(monkeypatch, given, scheduled, name):
    class Running:
        flow_name = "nightly"
        parameters = given
        scheduled_start_time = scheduled

    monkeypatch.setattr(steps.runtime, "flow_run", Running)
    assert steps.run_name() == name
