import json
import re

import numpy as np
import pandas as pd
import pytest

from refit.errors import DataError
from refit.portfolio import words
from refit.portfolio.book import book
from refit.portfolio.page import page
from refit.portfolio.rates import vintages
from refit.portfolio.report import portfolio
from tests.unit.portfolio.made import AS_OF, explored, framed, usecase

N = 4000


def noise(n=N, seed=1):
    random = np.random.default_rng(seed)
    return {
        "amount": random.lognormal(9, 1, n),
        "term": random.choice([12.0, 24.0, 36.0, 60.0], n),
        "sector": random.choice(["11", "22", "33"], n),
    }


def coin(n=N, seed=2, rate=0.2):
    return (np.random.default_rng(seed).random(n) < rate).astype(float)


def by(found, column):
    return {row["group"]: row for row in found.by_column[column].to_json()["groups"]}


def test_the_bad_rate_of_all_is_counted_with_its_wilson_interval():
    found = explored({"sector": ["a"] * 100}, [1.0] * 10 + [0.0] * 90)
    assert found.overall.row(0)["share"] == [0.1]
    assert found.overall.row(0)["low"][0] == pytest.approx(0.0552, abs=1e-4)
    assert found.overall.row(0)["high"][0] == pytest.approx(0.1744, abs=1e-4)
    assert found.findings[0] == (
        "Of 100 records the outcome of 100 is known for good; 10 of them went bad: 10.0 %, 5.5 to 17.4 %."
    )


def test_a_category_and_a_tenth_of_a_number_tell_the_rate_of_their_own_records():
    label = np.array([1.0] * 30 + [0.0] * 70 + [1.0] * 10 + [0.0] * 90)
    found = explored({"sector": ["a"] * 100 + ["b"] * 100, "rank": np.arange(200.0)}, label)
    assert by(found, "sector")["a"]["share"] == [0.3]
    assert by(found, "sector")["b"]["share"] == [0.1]
    tenths = found.by_column["rank"].to_json()["groups"]
    assert [row["n"] for row in tenths] == [20] * 10
    assert tenths[0]["group"] == "19 or less"
    assert tenths[1]["group"] == "20 to 39"
    assert tenths[-1]["group"] == "180 or more"
    assert [row["hits"][0] for row in tenths] == [20, 10, 0, 0, 0, 10, 0, 0, 0, 0]


def test_the_difference_between_groups_is_a_sentence():
    random = np.random.default_rng(3)
    term = random.choice([24.0, 60.0], N)
    label = (random.random(N) < np.where(term == 60, 0.3, 0.05)).astype(float)
    found = explored(noise() | {"term": term}, label)
    long, short = (by(found, "term")[name] for name in ("60", "24"))
    said = found.by_column["term"].sentence
    assert said in found.findings
    assert re.fullmatch(
        rf"Records with term of 60 go bad {long['share'][0] * 100:.1f} % of the time, [\d.]+ to [\d.]+ % "
        rf"\(of {long['n']:,}\); those with term of 24 go bad {short['share'][0] * 100:.1f} % of the time, .+\.",
        said,
    )


@pytest.mark.slow
def test_a_label_of_a_vintage_that_is_not_final_is_in_no_rate():
    random = np.random.default_rng(4)
    event = pd.Timestamp("2001-01-01", tz="UTC") + pd.to_timedelta(random.integers(0, 900, N), unit="D")
    ripe = np.asarray(event < pd.Timestamp("2002-06-30", tz="UTC"))
    bad = coin(rate=0.1)
    label = np.where(ripe | (bad == 1), bad, np.nan)  # of open vintages only the early bad ends are known
    found = explored(noise(), label, ripe=ripe, event=event)
    assert found.overall.row(0)["n"] == ripe.sum()
    assert found.overall.row(0)["share"] == [pytest.approx(bad[ripe].mean())]
    assert found.book.outcome.early == int(bad[~ripe].sum())
    open_ones = [one for one in found.vintages if not one.ripe]
    assert open_ones
    assert all(one.name > "2002 Q2" for one in open_ones)
    assert all(0 < one.so_far < 0.25 for one in open_ones)
    assert sum(one.n for one in found.vintages) == N
    text = page(found)
    assert "not final" in text
    assert "so far" in text


def said_of_vintages(label, months):
    """Return what is said of records of these months since 2001, each label final."""
    event = pd.Timestamp("2001-01-15", tz="UTC") + months.astype("timedelta64[D]") * 30
    amount = {"amount": np.zeros(len(label))}
    records = book(framed(amount, label, event=event), usecase({"amount": {"type": "number"}}))
    return list(words.of_vintages(records, vintages(records)))


@pytest.mark.slow
def test_of_vintages_alike_chance_seldom_makes_one_the_worst():
    told = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        told += len(said_of_vintages(coin(3000, seed=seed + 100), random.integers(0, 24, 3000)))
    assert told <= 6


def test_a_vintage_that_was_worse_is_told_and_one_of_few_records_is_not():
    months = np.concatenate([np.repeat(np.arange(12), 300), np.full(6, 12)])
    label = coin(len(months), rate=0.1)
    label[months == 4] = coin(300, rate=0.3)
    label[months == 12] = 1.0
    [said] = said_of_vintages(label, months)
    assert re.match(r"Records of 2001-05, the worst vintage, go bad (2|3)\d\.\d % of the time", said)


@pytest.mark.slow
def test_before_any_outcome_is_known_the_records_are_told_all_the_same():
    found = explored(noise(), np.full(N, np.nan), ripe=False)
    assert found.overall is None
    assert "no outcome is known for good yet" in found.findings[0]
    assert len(found.columns) == 3
    json.loads(found.to_json())
    assert "Missing and odd values" in page(found)


def test_no_record_is_an_error_that_says_what_to_do():
    frame = framed(noise(0), np.empty(0))
    features = {"amount": {"type": "number"}, "term": {"type": "number"}, "sector": {"type": "category"}}
    with pytest.raises(DataError, match="loans: no records at 2003-06-30; load and ingest some first"):
        portfolio(frame, usecase(features), AS_OF, snapshot="5e7")


def test_a_column_made_from_the_outcome_is_called_a_leak():
    label = coin()
    random = np.random.default_rng(5)
    found = explored(noise() | {"paid": label * 3 + random.normal(0, 1, N)}, label)
    assert found.associations[0].column == "paid"
    assert any(text.startswith("May be a leak: paid alone tells the outcome") for text in found.warnings)
    assert all("paid" in text for text in found.warnings)


def test_a_column_filled_in_only_for_the_bad_is_called_a_leak():
    label = coin()
    random = np.random.default_rng(6)
    recovered = np.where((label == 1) | (random.random(N) < 0.1), random.random(N), np.nan)
    found = explored(noise() | {"recovered": recovered}, label)
    assert any("whether recovered is missing tells the outcome" in text for text in found.warnings)


def test_a_value_with_which_all_go_one_way_is_called_a_rule():
    label = coin()
    marked = np.where(label == 1, "C", np.random.default_rng(7).choice(["A", "B"], N))
    marked[(np.random.default_rng(8).random(N) < 0.5) & (label == 1)] = "A"
    found = explored(noise() | {"zip": marked}, label)
    assert any("with zip C, all are bad" in text and "a rule, not a risk" in text for text in found.warnings)
    assert any("with zip B, none are bad" in text for text in found.warnings)


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_leak_no_strong_column_and_nobody_who_pays_best(seed):
    random = np.random.default_rng(seed + 50)
    many = noise(seed=seed) | {"name": random.choice([f"n{i}" for i in range(1500)], N)}
    many |= {f"x{i}": random.normal(size=N) for i in range(8)}
    found = explored(many, coin(seed=seed + 100))
    assert found.warnings == ()
    assert found.associations[0].auc < 0.54
    assert found.segments.worst == found.segments.best == ()
    assert found.segments.compared > 200
    assert all(one.sentence is None for one in found.by_column.values())


def test_a_group_of_two_columns_is_found_where_neither_alone_says_it():
    random = np.random.default_rng(9)
    first, second = random.choice(["a", "b"], N), random.choice(["c", "d"], N)
    label = (random.random(N) < np.where((first == "b") == (second == "d"), 0.4, 0.05)).astype(float)
    found = explored(noise() | {"first": first, "second": second}, label)
    assert found.segments.worst[0].columns in {("first", "second"), ("second", "first")}
    assert found.segments.worst[0].share == pytest.approx(0.4, abs=0.06)
    assert {one.phrase for one in found.segments.best[:2]} == {"first a and second d", "first b and second c"} or {
        one.phrase for one in found.segments.best[:2]
    } == {"second d and first a", "second c and first b"}


def test_who_is_worst_by_one_column_is_not_told_again_with_every_other():
    random = np.random.default_rng(10)
    sector = random.choice(["11", "22", "33"], N)
    label = (random.random(N) < np.where(sector == "22", 0.4, 0.1)).astype(float)
    found = explored(noise() | {"sector": sector}, label)
    assert [one.phrase for one in found.segments.worst] == ["sector 22"]
    low, high = found.segments.worst[0].low, found.segments.worst[0].high
    assert low < 0.4 < high


def test_equal_records_are_counted_whatever_their_keys():
    columns = {name: np.concatenate([values[:50], values[:50]]) for name, values in noise(100).items()}
    label = coin(50)
    found = explored(columns, np.concatenate([label, label]))
    assert found.book.duplicates == 50
    assert any(
        "50 pairs of records are equal in everything but the key (100 % of all records)" in text
        for text in found.findings
    )


def test_columns_that_say_the_same_are_told():
    columns = noise()
    columns |= {"amount_usd": columns["amount"] * 1.1, "group": np.where(columns["sector"] == "11", "x", "y")}
    found = explored(columns, coin())
    assert found.between[0].measure == "rank correlation"
    assert found.between[0].value == pytest.approx(1.0)
    assert {found.between[0].first, found.between[0].second} == {"amount", "amount_usd"}
    assert any("say nearly the same" in text for text in found.warnings)
    sector = {(pair.first, pair.second): pair for pair in found.between}
    pair = sector.get(("sector", "group")) or sector[("group", "sector")]
    assert pair.measure == "Cramer's V"
    assert pair.value > 0.95


def test_a_protected_column_is_shown_and_never_a_group_who_pays_worst():
    random = np.random.default_rng(11)
    gender = random.choice(["F", "M"], N)
    label = (random.random(N) < np.where(gender == "F", 0.4, 0.1)).astype(float)
    found = explored(noise() | {"gender": gender}, label, protected=["gender"])
    assert by(found, "gender")["F"]["share"][0] > 0.3
    assert found.segments.worst == ()
    assert "gender" not in {one.column for one in found.associations}
    assert "protected: no model reads it" in page(found)


def test_a_value_of_few_records_is_not_shown_by_name():
    names = np.array(["common"] * 3980 + [f"person {i}" for i in range(20)])
    found = explored(noise() | {"name": names}, coin())
    assert "person" not in page(found)
    assert "person" not in found.to_json()


EMPTY = {"score": np.full(N, np.nan), "seen": np.full(N, np.inf), "branch": np.full(N, np.nan, dtype=object)}


@pytest.mark.parametrize("n_known", [N, 5, 0], ids=["known", "five known", "none known"])
@pytest.mark.parametrize("classes", [None, ["A", "B", "C"]], ids=["binary", "multiclass"])
@pytest.mark.parametrize("empty", [["score"], ["seen"], ["branch"], list(EMPTY)], ids=" ".join)
@pytest.mark.slow
def test_a_column_missing_in_every_record_is_told_as_such(empty, classes, n_known):
    label = np.where(np.arange(N) < n_known, coin() if classes is None else np.resize([0.0, 1.0, 2.0], N), np.nan)
    several = {"task": "multiclass", "label": {"name": "grade", "column": "grade", "classes": classes}}
    found = explored(
        noise() | {name: EMPTY[name] for name in empty}, label, ripe=label >= 0, **(several if classes else {})
    )
    text = page(found)
    for name in empty:
        assert next(one.odd for one in found.columns if one.name == name) == ("it is missing in every record",)
        if n_known:
            assert list(by(found, name)) == ["(missing)"]
            assert next(one.auc for one in found.associations if one.column == name) == 0.5
            assert all(pair.value == 0 for pair in found.between if name in (pair.first, pair.second))
        assert f"{name} (100" in text
    assert ("No two groups differ" in text) == (n_known == N)


def test_where_every_column_is_missing_the_report_is_made_all_the_same():
    found = explored(EMPTY, coin())
    assert {one.auc for one in found.associations} == {0.5}
    assert "missing in every record" in page(found)


def test_several_classes_have_shares_in_place_of_a_bad_rate():
    random = np.random.default_rng(12)
    kind = random.integers(0, 3, N).astype(float)
    job = np.where(kind == 2, random.choice(["cook", "nurse"], N, p=[0.8, 0.2]), random.choice(["cook", "nurse"], N))
    found = explored(
        noise() | {"job": job},
        kind,
        task="multiclass",
        label={"name": "kind", "column": "kind", "classes": ["a", "b", "c<"]},
        event_time=None,
        split={"by": "random"},
    )
    assert found.associations[0].column == "job"
    assert found.associations[0].information_value is None
    assert found.vintages == ()
    assert sum(found.overall.row(0)["share"]) == pytest.approx(1)
    assert any("are of class c<" in text for text in found.findings)
    text = page(found)
    assert "are of class c&lt;" in text
    assert "Bad rate" not in text


@pytest.mark.slow
def test_the_same_records_give_the_same_bytes():
    first, second = (explored(noise() | {"sector": noise()["sector"]}, coin()) for _ in range(2))
    assert first.to_json() == second.to_json()
    assert page(first) == page(second)


def test_what_a_record_says_cannot_become_markup():
    evil = "<script>alert(1)</script>"
    sector = np.where(np.arange(N) % 2, evil, "$x_1$ & y")
    label = (np.random.default_rng(13).random(N) < np.where(sector == evil, 0.4, 0.1)).astype(float)
    text = page(explored(noise() | {"sector": sector}, label, title=evil))
    assert "<script" not in text
    assert "$x_1$ &amp; y" in text
    assert not re.search(r"<link|@import|src=|url\((?!#)", text)
    assert len(re.findall(r'\bid="[^"]+"', text)) == len(set(re.findall(r'\bid="[^"]+"', text)))


def test_records_dated_ahead_are_warned_of_and_counted():
    case = usecase({"sector": {"type": "category"}})
    frame = framed({"sector": ["a"] * 100}, np.zeros(100))
    found = portfolio(frame, case, AS_OF, snapshot="", n_ahead=7)
    assert any("7 records are dated after" in text for text in found.dates)
    assert any("7 records are dated after" in text for text in found.warnings)
    with pytest.raises(DataError, match="7 are dated later"):
        portfolio(frame[:0], case, AS_OF, snapshot="", n_ahead=7)


@pytest.mark.parametrize(("n", "rate"), [(300, 0.1), (5000, 0.005)], ids=["few records", "few bad"])
def test_of_pure_noise_no_column_is_said_to_tell_of_the_outcome(n, rate):
    said = 0
    for seed in range(20):
        found = explored(noise(n, seed), coin(n, 1000 + seed, rate))
        said += any(text.startswith("What tells most") for text in found.findings)
    assert said <= 3  # one in twenty at most is what is promised; four in 20 come once in 60 times


def test_what_tells_a_little_of_many_records_is_still_told():
    random = np.random.default_rng(3)
    bad = coin(20_000)
    found = explored({"amount": random.normal(0.4 * bad, 1), **{f"x{k}": random.random(20_000) for k in range(5)}}, bad)
    assert any("What tells most of the outcome" in text and "amount (0.6" in text for text in found.findings)
