import json
import os
import shlex
import sys
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from refit import cli
from refit.commands import nights as night_commands
from refit.commands import records as record_commands
from refit.commands import usecases as usecase_commands
from refit.commands.app import moment as read_moment
from refit.errors import ContractError, DataError
from refit.loop.load import Loading
from refit.store.files import header
from refit.usecase.catalogue import BUILT_IN
from tests.unit.usecase.declared import content


@pytest.fixture
def refit(monkeypatch, capfd, tmp_path):
    """Run a command as the shell does; return exit code, standard output, standard error."""
    for name in list(os.environ):
        if name.startswith("REFIT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["refit", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def usecases(tmp_path):
    (tmp_path / "usecases").mkdir()

    def written(name: str, text: str) -> None:
        (tmp_path / "usecases" / f"{name}.yaml").write_text(text, encoding="utf-8")

    return written


END = timedelta(days=1, microseconds=-1)


class Stores:
    """The stores as far as a command asks them before it reads its day."""

    def usecase(self, name: str) -> str:
        return name


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2003-06-30", datetime(2003, 6, 30, tzinfo=UTC) + END),
        ("20030630", datetime(2003, 6, 30, tzinfo=UTC) + END),
        ("2004-02-29", datetime(2004, 2, 29, tzinfo=UTC) + END),
        ("0001-01-01", datetime(1, 1, 1, tzinfo=UTC) + END),
        ("2003-06-30T18:00", datetime(2003, 6, 30, 18, tzinfo=UTC)),
        ("2003-06-30T00:00", datetime(2003, 6, 30, tzinfo=UTC)),
        ("2003-06-30 18:00:01.5", datetime(2003, 6, 30, 18, 0, 1, 500_000, tzinfo=UTC)),
        ("2003-06-30T01:00+02:00", datetime(2003, 6, 29, 23, tzinfo=UTC)),
        ("2003-06-30T18:00Z", datetime(2003, 6, 30, 18, tzinfo=UTC)),
    ],
    ids=str,
)
def test_a_day_means_its_end_and_a_moment_itself(text, moment):
    assert read_moment(text, "sba") == moment
    assert read_moment(text, "sba").utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "",
        "2003-02-29",
        "30.06.2003",
        "2003-6-30",
        "now",
        "2003",
        "0001-01-01T00:00+05:00",
        "1\0",
        "٢٠٠٣-٠٦-٣٠",
    ],
    ids=repr,
)
def test_what_is_no_day_says_how_to_write_one(text):
    with pytest.raises(ContractError, match="write it like 2003-06-30"):
        read_moment(text, "sba")


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=13_000)], ids=["in two days", "in 35 years"])
@pytest.mark.parametrize("written", ["{:%Y-%m-%d}", "{:%Y-%m-%dT%H:%M}", "{:%Y-%m-%dT%H:%M}-05:00"])
def test_a_day_to_come_is_refused_for_what_nobody_has_watched_would_count_as_good(ahead, written):
    with pytest.raises(ContractError, match="still to come"):
        read_moment(written.format(datetime.now(UTC) + ahead), "sba")


def test_today_is_seen_whole():
    today = datetime.now(UTC).date()
    assert read_moment(today.isoformat(), "sba").date() == today


def test_the_simulated_book_is_drawn_as_of_any_day():
    assert read_moment("9999-12-31", "demo") == datetime(9999, 12, 31, tzinfo=UTC) + END


@pytest.mark.parametrize("command", ["monitor", "retrain", "nightly", "explore", "status", "rollback", "release"])
def test_no_command_takes_a_day_to_come(refit, monkeypatch, command):
    monkeypatch.setattr(night_commands, "open_stores", lambda: nullcontext(Stores()))
    code, _, err = refit(command, "sba", "--as-of", "2962-06-30")
    assert code == 2
    assert "2962-06-30 is still to come" in err


def test_without_a_day_it_is_now():
    assert abs(read_moment(None, "sba") - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_use_cases_are_listed(refit):
    code, out, err = refit("usecases")
    assert (code, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} >= {"demo", "sba"}


def test_the_use_cases_are_listed_as_one_json_object(refit, usecases):
    usecases("loans", yaml.safe_dump(content()))
    code, out, err = refit("usecases", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["loans"] == {"title": "Loans", "task": "binary", "table": "source.loans"}


def test_a_title_is_text_and_no_markup(refit, usecases):
    usecases("loans", yaml.safe_dump(content({"title": "[bold]Loans[/] [/red]"})))
    code, out, _ = refit("usecases")
    assert code == 0
    assert "[bold]Loans[/] [/red]" in out


@pytest.mark.parametrize("name", ["demo", "sba"])
def test_a_sound_file_is_called_so(refit, name):
    code, out, _ = refit("usecases", "check", str(BUILT_IN / f"{name}.yaml"))
    assert code == 0
    assert f"use case {name} is sound" in out


def test_an_outcome_that_counts_as_known_too_early_is_warned_of(refit, usecases):
    label = {"name": "bad", "column": "status", "bad": ["lost"], "good": ["paid"]}
    usecases("loans", yaml.safe_dump(content({"label": label, "source.arrived_at": "asked_on"})))
    code, out, _ = refit("usecases", "check", "usecases/loans.yaml")
    assert code == 0
    assert "warning: `arrived_at` and `event_time` are both asked_on" in " ".join(out.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is a mapping of keys"),
        ("a: [", "not YAML"),
        ("name: a\nname: b", "stands twice"),
        (yaml.safe_dump(content({"gaet": 1})), "gaet: unknown key; choose from"),
        (yaml.safe_dump(content({"features.sex": {"type": "category"}})), "sex: protected"),
        (
            yaml.safe_dump(content({"features.x": {"type": "number", "from": "(" * 10_000}})),
            "features.x: an expression of",
        ),
        (yaml.safe_dump(content({"name": "cards"})), "it must be the file's own, 'loans'"),
        (yaml.safe_dump(content({"example": {"income": 5}})), "example.amount: missing"),
        (yaml.safe_dump(content({"example": {"amount": -5}})), "example.amount: below 0"),
        (yaml.safe_dump(content({"example": {"amount": "5"}})), "example.amount: a text, where a number belongs"),
        (yaml.safe_dump(content({"example": {"amount": 99, "income": 3}})), "example.share: amount / income: above 10"),
        (
            yaml.safe_dump(content({"example": {"amount": 5, "purpose": "fax"}})),
            "example.purpose: not one of car, home",
        ),
        (
            yaml.safe_dump(
                content({"features.grade": {"type": "category", "parse": "match:^([A-G])[0-9]", "required": True}})
                | {"example": {"amount": 5, "grade": "B4"}}
            ),
            "features.grade: required, and 'match:^([A-G])[0-9]' does not read its own result",
        ),
    ],
    ids=[
        *("empty", "no YAML", "a key twice", "an unknown key", "a protected column", "too deep", "another name"),
        *("an example without its amount", "an example out of range", "an example of another type"),
        *("an example whose share is out of range", "an example of no choice", "a rule that does not read its result"),
    ],
)
def test_a_fault_of_a_file_is_exit_code_2_and_no_trace(refit, usecases, text, why):
    usecases("loans", text)
    code, out, err = refit("usecases", "check", "usecases/loans.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: usecases/loans.yaml: ")
    assert why in err
    assert "Traceback" not in err


def test_a_file_that_is_not_there_is_exit_code_2(refit):
    code, _, err = refit("usecases", "check", "none.yaml")
    assert code == 2
    assert "no such file" in err


def test_a_failure_is_one_json_object_too(refit, usecases):
    usecases("loans", "- a")
    code, out, err = refit("usecases", "--json")
    assert code == 2
    found = json.loads(out)
    assert found["error"]["kind"] == "ContractError"
    assert "is a mapping of keys" in found["error"]["message"]
    assert "is a mapping of keys" in err


@pytest.mark.parametrize("setting", ["REFIT_SERVICE_PORT", "REFIT_LOG_LEVEL"])
def test_a_setting_that_does_not_fit_is_exit_code_2(refit, monkeypatch, setting):
    monkeypatch.setenv(setting, "x")
    code, _, err = refit("usecases")
    assert code == 2
    assert err.startswith(f"error: {setting}: ")


@pytest.mark.parametrize("delimiter", ["", ";;", "tab"], ids=repr)
def test_a_delimiter_is_one_character(refit, delimiter):
    code, _, err = refit("load", "demo", "loans.csv", "--delimiter", delimiter)
    assert code == 2
    assert "takes one character" in err


@pytest.mark.parametrize("delimiter", [";", "\t", "|"], ids=repr)
def test_a_delimiter_can_be_given_as_a_message_names_it(refit, monkeypatch, tmp_path, delimiter):
    path = tmp_path / "loans.csv"
    path.write_text(f"a{delimiter}b\n1{delimiter}2\n")
    with pytest.raises(DataError) as error:
        header(path)
    option, named = shlex.split(str(error.value).rpartition(": ")[2])
    taken = []
    monkeypatch.setattr(record_commands, "open_stores", lambda: nullcontext(Stores()))
    monkeypatch.setattr(
        "refit.loop.load.load", lambda *_, delimiter, **__: taken.append(delimiter) or Loading("loans", 0, 0, 0, 0)
    )
    assert refit("load", "demo", str(path), option, named)[0] == 0
    assert taken == [delimiter]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nightly"], "Missing argument 'USECASE'."),
        (["improve"], "No such command 'improve'."),
        (["nightly", "demo", "--as-off", "2003-06-30"], "--as-off"),
    ],
    ids=["no use case", "no such command", "no such option"],
)
def test_a_command_misused_is_one_json_object_too(refit, arguments, why):
    code, out, err = refit(*arguments, "--json")
    assert code == 2
    found = json.loads(out)
    assert found["error"]["kind"] == "ContractError"
    assert why in found["error"]["message"]
    assert why in err
    assert refit(*arguments)[:2] == (2, "")


def test_help_is_no_failure(refit):
    code, out, _ = refit("nightly", "--json", "--help")
    assert code == 0
    assert "{" not in out.splitlines()[-1]
    assert "Run the whole night" in out


def test_an_unknown_command_is_exit_code_2(refit):
    code, _, err = refit("improve")
    assert code == 2
    assert "improve" in err


def test_ctrl_c_is_exit_code_130_and_no_trace(refit, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(usecase_commands.catalogue, "names", interrupted)
    code, _, err = refit("usecases")
    assert code == 130
    assert "Traceback" not in err


def test_a_fault_of_refits_own_is_exit_code_1_with_its_trace(refit, monkeypatch):
    monkeypatch.setattr(usecase_commands.catalogue, "names", lambda _: [1 / 0])
    code, out, err = refit("usecases", "--json")
    assert code == 1
    assert "ZeroDivisionError" in err
    assert "a fault of its own" in err
    assert json.loads(out)["error"]["kind"] == "ZeroDivisionError"


def test_what_a_fault_of_refits_own_says_may_hold_a_value_and_is_not_printed(refit, monkeypatch):
    def fails(_):
        raise ValueError("could not convert 'Ada Smith' to float")

    monkeypatch.setattr(usecase_commands.catalogue, "names", fails)
    code, out, err = refit("usecases", "--json")
    assert code == 1
    assert "Ada" not in out + err
    assert "ValueError at" in err
    assert "test_cli.py" in err
