"""Why records were refused, in the few words of a decision's reason."""

from datetime import UTC, datetime

from refit.loop import asof
from refit.loop.arrivals import arrivals
from refit.loop.ingest import ingest
from refit.store.rows import DecisionRow

TABLE = (
    "CREATE SCHEMA source; CREATE TABLE source.loans (id text, changed_at timestamptz, asked_on date,"
    " amount float8, income text, region text, purpose text, sex text, lost_on date)"
)
LOAN = "INSERT INTO source.loans VALUES (%s, %s, '2003-01-01', %s, '$100', 'north', 'car', 'f', %s)"
EARLY = "1903-12-24"


def day(n: int) -> datetime:
    return datetime(2003, 6, n, 23, tzinfo=UTC)


def test_the_commonest_causes_are_those_since_the_last_decision_and_known_at_its_day(world, declare, sql):
    usecase = declare()
    sql(TABLE)
    for key in "abc":
        sql(LOAN, key, "2003-06-01", -1, None)
    sql(LOAN, "d", "2003-06-01", -1, EARLY)
    ingest(world, usecase, day(1))
    world.ledger.record_decision(DecisionRow(usecase="loans", as_of=day(1), action="wait", reasons=(), n_new=0))
    sql(LOAN, "e", "2003-06-10", 10, EARLY)
    ingest(world, usecase, day(10))
    last = world.ledger.last_decision("loans", day(30))

    def causes(since: DecisionRow | None, n: int) -> tuple[tuple[str, int], ...]:
        return arrivals(world, usecase, since, asof.read(world, usecase, day(n)).frame, day(n)).causes

    assert causes(None, 30) == (("amount: below 0", 4), ("lost_on: before asked_on", 2))
    assert causes(None, 10) == (("amount: below 0", 4), ("lost_on: before asked_on", 2))
    assert causes(None, 9) == (("amount: below 0", 4), ("lost_on: before asked_on", 1))
    assert causes(last, 30) == (("lost_on: before asked_on", 1),)
    assert causes(last, 9) == ()
