import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refit.errors import ContractError
from refit.usecase.parsing import parse_rule

PLAIN = ["number", "money", "percent", "first_number", "date", "text", "upper"]
RULES = [*PLAIN, "date:%d-%b-%y", "date:%b-%Y", "prefix:2", "suffix:3", "match:[0-9]{2}", "match:(a)?b"]


def day(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "cell", "value"),
    [
        ("number", "5", 5.0),
        ("number", " -12.5e3 ", -12500.0),
        ("number", "+.5", 0.5),
        ("number", "5.", 5.0),
        ("number", "\u00a07\u00a0", 7.0),
        ("money", "$60,000.00 ", 60000.0),
        ("money", "Rp9295094.0", 9295094.0),
        ("money", "($1,200)", -1200.0),
        ("money", "(1,200.50)", -1200.5),
        ("money", "-$5", -5.0),
        ("money", "$-5", -5.0),
        ("money", "- $ 5", -5.0),
        ("money", "€ 1,234,567.89", 1234567.89),
        ("money", "1,200 EUR", 1200.0),
        ("money", "USD1200", 1200.0),
        ("money", "Rs. 1,00,000", 100000.0),
        ("money", "12e3", 12000.0),
        ("money", "$.50", 0.5),
        ("money", "500 kr", 500.0),
        ("percent", "12.5%", 0.125),
        ("percent", "12.5 %", 0.125),
        ("percent", "-3", -0.03),
        ("first_number", "3 orang", 3.0),
        ("first_number", "10+ years", 10.0),
        ("first_number", "< 1 year", 1.0),
        ("first_number", "1,200 km", 1200.0),
        ("first_number", "12,345,678.5 km", 12345678.5),
        ("first_number", "10, 20, 30", 10.0),
        ("text", "  a b ", "a b"),
        ("upper", "ca", "CA"),
        ("prefix:2", "722110", "72"),
        ("prefix:2", "7", "7"),
        ("suffix:5", "Anchorage, AK 99501", "99501"),
        ("match:[0-9]{5}$", "Anchorage, AK 99501", "99501"),
        ("match:[0-9]{5}$", "Anchorage", None),
        ("match:x(y)?", "x", None),
        ("date", "2003-06-30", day(2003, 6, 30)),
        ("date", "2003-06-30T18:00:00Z", day(2003, 6, 30, 18)),
        ("date", "2003-06-30T01:00+02:00", day(2003, 6, 29, 23)),
        ("date:%d-%b-%y", "28-Feb-97", day(1997, 2, 28)),
        ("date:%d-%b-%y", "28-FEB-97", day(1997, 2, 28)),
        ("date:%d-%b-%y", "29-Feb-04", day(2004, 2, 29)),
        ("date:%b-%Y", "Dec-2015", day(2015, 12, 1)),
        ("date:%Y-%m-%d %H:%M %z", "2003-06-30 01:00 +0200", day(2003, 6, 29, 23)),
    ],
    ids=lambda part: repr(part) if isinstance(part, str) else "",
)
def test_a_rule_reads_what_it_is_for(rule, cell, value):
    assert parse_rule(rule).read(cell) == value


@pytest.mark.parametrize(
    ("rule", "cell"),
    [
        *[
            ("number", cell)
            for cell in ["1,5", "1_000", "0x10", "inf", "nan", "1e400", "5e", ".", "--5", "½", "\u22125"]
        ],
        *[("money", cell) for cell in ["1.234,56", "€1.234,56", "0,5", "1,23", "1.000,00", "1.234.567", "1,,000"]],
        *[("money", cell) for cell in ["5%", "<5", ">500", "5k", "2.5M", "5mn", "1'000", "1 000", "5-3", "12,34.5"]],
        *[("money", cell) for cell in ["(5", "5)", "(-5)", "--5", "$", "$-", ",5", "5,", "Infinity", "$1e400", "12K"]],
        *[("percent", cell) for cell in ["%", "%5", "5%%", "abc"]],
        *[("first_number", cell) for cell in ["abc", "-", "1e999", "2,5 years", "10,20,30"]],
        *[("date", cell) for cell in ["2003-02-29", "30/06/2003", "2003-6-30", "2003", "0001-01-01T00:00+05:00"]],
        *[("date:%d-%b-%y", cell) for cell in ["29-Feb-03", "28-Feb-1997", "28-Feb-97x", "32-Jan-97", "n/a"]],
        ("date:%Y-%m-%d %z", "0001-01-01 +0500"),
        ("date", "9999-12-31T23:59-05:00"),
    ],
    ids=repr,
)
def test_a_rule_refuses_what_it_would_misread(rule, cell):
    with pytest.raises(ValueError, match=r"^(not|holds no|a date out of range)") as error:
        parse_rule(rule).read(cell)
    assert cell not in str(error.value)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("cell", ["", "   ", "\t\u00a0\r\n"], ids=repr)
def test_an_empty_cell_holds_no_value(rule, cell):
    assert parse_rule(rule).read(cell) is None


@pytest.mark.parametrize("rule", RULES)
def test_a_cell_that_stands_for_unknown_holds_no_value(rule):
    assert parse_rule(rule).read(" n/a ", ("-", "n/a")) is None


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("mony", "choose from number, money, percent"),
        ("", "choose from"),
        ("number:2", "choose from"),
        ("money:", "choose from"),
        ("prefix:", "choose from"),
        ("Upper", "choose from"),
        ("prefix:0", "whole number"),
        ("prefix:-1", "whole number"),
        ("prefix:two", "whole number"),
        ("prefix:²", "whole number"),
        ("suffix:" + "9" * 5_000, "whole number"),
        ("match:(", "unterminated"),
        ("match:" + "(" * 10_000, "match:"),
        ("match:a{99999999999}", "match:"),
        ("date:%Q", "bad directive"),
        ("date:%", "stray %"),
        ("date:abc", "lacks the year"),
        ("date:%d/%m", "lacks the year"),
        ("date:%Y", "lacks the year or the month"),
        ("date:%H:%M", "lacks the year"),
    ],
    ids=lambda part: repr(part[:20]),
)
def test_a_rule_that_is_none_names_what_is_wrong(rule, why):
    with pytest.raises(ContractError, match=why):
        parse_rule(rule)


@given(st.text(max_size=60))
def test_any_text_is_a_rule_or_the_contracts_fault(text):
    try:
        parse_rule(text)
    except ContractError:
        return


def refusals(rule: str) -> set[str]:
    """Return all that a rule says of bad cells: no other cell may bring another message, so none holds its value."""
    said = set()
    for cell in ("\x01", "1e999", "1,2", "0001-01-01T00:00+05:00"):
        try:
            parse_rule(rule).read(cell)
        except ValueError as error:
            said.add(str(error))
    return said


@pytest.mark.parametrize("rule", [*PLAIN, "date:%d-%b-%y", "prefix:2", "suffix:3", "match:[0-9]{2}"])
@given(
    cell=st.text() | st.from_regex(r"[ (]*[-+]?[$€A-Za-z]{0,3} ?[0-9.,eE+-]{0,12} ?[%A-Za-z]{0,3}[) ]*", fullmatch=True)
)
@example(cell="number")
def test_any_cell_is_read_or_refused_without_its_value(rule, cell):
    try:
        value = parse_rule(rule).read(cell)
    except ValueError as error:
        assert str(error) in refusals(rule)  # noqa: PT017 - a cell may be read as well
        return
    if isinstance(value, float):
        assert math.isfinite(value)
    if isinstance(value, datetime):
        assert value.tzinfo is UTC


@pytest.mark.parametrize("rule", ["number", "money", "percent", "first_number"])
@pytest.mark.parametrize(
    "cell",
    ["1" * 200_000 + "x", "1," * 100_000, "(" + " " * 100_000 + "x", "1e" * 100_000, "+" * 100_000, "1,11" * 24 + "x"],
    ids=["digits", "commas", "spaces", "exponents", "signs", "the longest amount"],
)
@pytest.mark.timeout(5)
def test_no_cell_takes_long_to_refuse(rule, cell):
    try:
        parse_rule(rule).read(cell)
    except ValueError:
        return


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(5e-324)
def test_a_number_written_out_is_read_back(number):
    assert parse_rule("number").read(repr(number)) == number


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", "$", "Rp", "USD ", "€"]), st.booleans())
def test_an_amount_written_out_is_read_back(cents, sign, brackets):
    amount = f"{sign}{abs(cents) / 100:,.2f}"
    cell = amount if cents >= 0 else f"({amount})" if brackets else f"-{amount}"
    assert parse_rule("money").read(f" {cell} ") == pytest.approx(cents / 100)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001 - the zone is drawn apart
def test_a_moment_written_out_is_read_back_in_utc(moment, minutes):
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_rule("date").read(zoned.isoformat()) == zoned
    assert parse_rule("date").read(zoned.isoformat()).utcoffset() == timedelta(0)
    assert parse_rule("date").read(moment.isoformat()) == moment.replace(tzinfo=UTC)


@given(st.dates(min_value=datetime(1969, 1, 1, tzinfo=UTC).date(), max_value=datetime(2068, 12, 31, tzinfo=UTC).date()))
def test_a_date_of_the_lenders_layout_is_read_back(date):
    assert parse_rule("date:%d-%b-%y").read(date.strftime("%d-%b-%y")) == datetime.combine(
        date, datetime.min.time(), UTC
    )


@pytest.mark.parametrize(
    ("rule", "text", "value"),
    [
        ("year", "1990-01-01", 1990.0),
        ("year", "1990-07-02", 1990 + 182 / 365),
        ("year", "2000-12-31", 2000 + 365 / 366),
        ("year:%b-%y", "Jun-90", 1990 + 151 / 365),
        ("year:%Y-%m", "1985-01", 1985.0),
    ],
)
def test_a_year_is_a_number_that_counts_the_days_too(rule, text, value):
    parsed = parse_rule(rule)
    assert parsed.kind == "number"
    assert parsed.read(text) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(("rule", "short"), [("year", False), ("year:%Y-%m", False), ("year:%b-%y", True)])
def test_a_layout_of_two_digits_tells_that_its_century_is_a_guess(rule, short):
    assert parse_rule(rule).short_year is short


@pytest.mark.parametrize("rule", ["year:", "year:%d", "year:%", "years"])
def test_a_year_rule_that_names_no_year_is_refused(rule):
    with pytest.raises(ContractError):
        parse_rule(rule)


@pytest.mark.parametrize("text", ["inf", "-Infinity", "+INF", "1e999", "-1e999"])
@pytest.mark.parametrize("rule", ["number", "percent"])
def test_an_infinite_number_is_refused_as_such(rule, text):
    with pytest.raises(ValueError, match="not a finite number"):
        parse_rule(rule).read(text)


@pytest.mark.parametrize(
    ("rule", "cell", "itself"),
    [
        ("text", "B4", True),
        ("upper", "b4", True),
        ("prefix:2", "722110", True),
        ("money", "$5", True),
        ("match:^([A-G])", "B4", True),
        ("match:^([A-G])[0-9]", "B4", False),
        ("match:^([A-G])[0-9]", "4", True),
        ("match:^([A-G])[0-9]", " ", True),
    ],
)
def test_a_rule_tells_whether_it_reads_its_own_result(rule, cell, itself):
    assert parse_rule(rule).reads_itself(cell) is itself
