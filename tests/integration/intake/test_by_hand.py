"""`refit load`, `ingest` and `status` as a person runs them: what they print, and their exit codes."""

import json
import os
import sys

import pytest

from refit import cli

HEADER = "id,changed_at,asked_on,amount,income,region,purpose,sex,lost_on"
ROWS = "A1,2003-06-01,2003-01-01,10,$100,north,car,f,2003-05-05\nB2,2003-06-02,2003-01-02,20,$100,,home,,\n"
SOUND = f"{HEADER}\n{ROWS}"


@pytest.fixture
def refit(monkeypatch, capfd, settings, declare):
    """Run a command as the shell does; return exit code, standard output, standard error."""
    declare()
    for name in list(os.environ):
        if name.startswith("REFIT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("REFIT_HOME", str(settings.home))
    monkeypatch.setenv("REFIT_USECASES", str(settings.usecases))
    monkeypatch.setenv("REFIT_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["refit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return ended.value.code, said.out, said.err

    return run


def test_a_file_is_loaded_and_counted(refit, file):
    code, out, _ = refit("load", "loans", file(SOUND + "C3,never,2003-01-01,1,1,,,,\n"))
    assert code == 0
    assert out.splitlines() == [
        "source.loans: 2 added, 0 changed, 0 unchanged, 1 rejected",
        "          1  changed_at: not an ISO date",
    ]


def test_every_step_prints_one_json_object(refit, file):
    code, out, _ = refit("load", "loans", file(SOUND), "--json")
    assert (code, json.loads(out)) == (
        0,
        {"table": "source.loans", "added": 2, "changed": 0, "unchanged": 0, "rejected": 0, "reasons": {}, "behind": 0},
    )
    code, out, _ = refit("ingest", "loans", "--as-of", "2003-06-01", "--json")
    assert (code, json.loads(out)["ingested"], json.loads(out)["watermark"]["key"]) == (0, 1, "A1")
    code, out, _ = refit("status", "loans", "--as-of", "2003-05-31", "--json")
    assert (code, json.loads(out)["n_records"]) == (0, 0)
    code, out, _ = refit("status", "loans", "--as-of", "2004-06-01", "--json")
    assert json.loads(out)["outcomes"] == {"happened": 1, "final": 1, "bad": 1, "ripe": 1}
    code, out, _ = refit("ingest", "loans", "--json")
    assert json.loads(out)["ingested"] == 1
    code, out, _ = refit("ingest", "loans", "--json")
    assert json.loads(out)["ingested"] == 0


REFUSED = "C3,2003-06-03,2003-01-03,-77.25,$100,,home,,\nD4,2003-06-04,2003-01-04,-78.5,$100,,home,,\n"
UNREAD = "E5,never,2003-01-05,79.75,much,,home,,\n"


def test_a_use_case_without_rejects_says_so(refit, file):
    refit("load", "loans", file(SOUND))
    assert refit("rejects", "loans") == (0, "loans: no record was refused\n", "")
    code, out, _ = refit("rejects", "loans", "--json")
    assert (code, json.loads(out)) == (0, {"usecase": "loans", "n_rejected": 0, "n_sources": 0, "sources": []})


def test_rejects_are_told_by_where_they_came_from_and_why_and_never_with_a_value(refit, file):
    refit("load", "loans", file(SOUND + REFUSED + UNREAD))
    refit("ingest", "loans", "--as-of", "2003-06-30")
    code, out, err = refit("rejects", "loans")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "loans: 3 records refused; a record can have more causes than one"
    assert [line.split(",")[0].split("@")[0] for line in lines if not line.startswith("  ")][1:] == [
        lines[1].split(",")[0],
        "load of loans.csv",
    ]
    assert lines[1].startswith("ingest of batch ")
    assert " as of 2003-06-30, " in lines[1]
    assert lines[2] == "          2  amount: below 0"
    assert lines[4:] == [
        "          1  changed_at: not an ISO date  (line 6)",
        "          1  income: not an amount of money  (line 6)",
    ]
    for value in ("77", "78", "79.75", "never", "much", "C3", "D4", "E5"):
        assert value not in "".join(lines[2:3] + lines[4:]), value


def test_rejects_are_one_json_object_and_their_keys_are_shown_only_where_asked_for(refit, file):
    refit("load", "loans", file(SOUND + REFUSED))
    refit("ingest", "loans")
    code, out, _ = refit("rejects", "loans", "--json")
    (one,) = json.loads(out)["sources"]
    assert code == 0
    assert (one["origin"], one["n"]) == ("ingest", 2)
    assert one["causes"] == [{"column": "amount", "why": "below 0", "n": 2, "places": []}]
    (one,) = json.loads(refit("rejects", "loans", "--json", "--show-keys")[1])["sources"]
    assert one["causes"][0]["places"] == ["C3", "D4"]
    assert "(C3, D4)" in refit("rejects", "loans", "--show-keys")[1]


def test_rejects_can_be_asked_for_as_of_a_day_and_of_one_file(refit, file):
    refit("load", "loans", file(SOUND + REFUSED + UNREAD))
    refit("ingest", "loans", "--as-of", "2003-06-03")
    refit("ingest", "loans", "--as-of", "2003-06-04")

    def told(*options):
        found = json.loads(refit("rejects", "loans", "--json", *options)[1])
        return found["n_rejected"], found["n_sources"], [one["origin"] for one in found["sources"]]

    assert told() == (3, 3, ["ingest", "ingest", "load"])
    assert told("--as-of", "2003-06-03") == (1, 1, ["ingest"])
    assert told("--source", "loans.csv") == (1, 1, ["load"])
    assert told("--source", "%") == (0, 0, [])
    assert told("--limit", "1") == (3, 3, ["ingest"])
    assert "and 2 older loads and ingests" in refit("rejects", "loans", "--limit", "1")[1]


def test_a_file_whose_name_looks_like_markup_is_loaded(refit, file):
    assert refit("load", "loans", file(SOUND, "[bold]loans[].csv"))[0] == 0


@pytest.mark.parametrize(
    ("content", "options", "why"),
    [
        ("", [], "the file is empty"),
        ("id,amount\n1,2\n", [], "the file lacks changed_at"),
        (SOUND.replace(",", ";"), [], "--delimiter"),
        (SOUND, ["--delimiter", ";"], "--delimiter"),
        (SOUND + '"C3,', [], "is a quote left open"),
        (SOUND, ["--encoding", "klingon"], "unknown encoding"),
        (b"\x1f\x8b\x08\x00", [], "damaged or cut off"),
    ],
    ids=["empty", "a column missing", "semicolons", "not semicolons", "an open quote", "no encoding", "a cut gzip"],
)
def test_a_file_that_cannot_be_read_is_exit_code_3(refit, file, content, options, why):
    code, out, err = refit("load", "loans", file(content), *options, "--json")
    assert code == 3
    assert json.loads(out)["error"]["kind"] == "DataError"
    assert why in json.loads(out)["error"]["message"]
    assert why in err


def test_a_file_that_is_not_there_is_exit_code_3(refit, tmp_path):
    code, _, err = refit("load", "loans", tmp_path / "none.csv")
    assert code == 3
    assert "no such file" in err


@pytest.mark.parametrize(
    "command",
    [["ingest", "cards"], ["load", "cards", "x.csv"], ["status", "cards"], ["rejects", "cards"]],
    ids=str,
)
def test_an_unknown_use_case_is_exit_code_2_and_names_those_there_are(refit, command):
    code, _, err = refit(*command)
    assert code == 2
    assert "unknown use case 'cards'; choose from customer_segmentation, demo, loan_approval, loans, " in err


def test_a_source_without_the_table_is_exit_code_2(refit):
    code, _, err = refit("ingest", "loans")
    assert code == 2
    assert "the source has no table source.loans" in err


def test_a_day_that_is_none_is_exit_code_2(refit):
    code, _, err = refit("ingest", "loans", "--as-of", "yesterday")
    assert code == 2
    assert "write it like 2003-06-30" in err


@pytest.mark.parametrize("setting", ["REFIT_DATABASE_URL", "REFIT_SOURCE_URL"])
@pytest.mark.parametrize("command", ["ingest", "load"])
def test_a_postgres_that_is_away_is_exit_code_5_without_the_password(refit, file, monkeypatch, setting, command):
    monkeypatch.setenv(setting, "postgresql://refit:hunter2@127.0.0.1:1/refit")
    code, out, err = refit(command, "loans", *([file(SOUND)] if command == "load" else []), "--json")
    assert code == 5
    assert json.loads(out)["error"]["kind"] == "OutageError"
    assert f"set {setting}" in err
    assert "hunter2" not in out + err


@pytest.mark.parametrize("setting", ["REFIT_DATABASE_URL", "REFIT_SOURCE_URL"])
def test_an_address_that_is_none_is_exit_code_2_without_the_password(refit, monkeypatch, setting):
    monkeypatch.setenv(setting, "mysql://refit:hunter2@127.0.0.1/refit")
    code, out, err = refit("ingest", "loans")
    assert code == 2
    assert setting in err
    assert "hunter2" not in out + err


def test_a_lake_that_cannot_be_written_is_exit_code_5(refit, file, settings):
    refit("load", "loans", file(SOUND))
    settings.home.mkdir(exist_ok=True)
    (settings.home / "lake").write_text("in the way")
    code, _, err = refit("ingest", "loans")
    assert code == 5
    assert "cannot be written" in err


def test_a_lake_that_lost_a_batch_is_exit_code_3(refit, file, settings):
    refit("load", "loans", file(SOUND))
    refit("ingest", "loans")
    (batch,) = (settings.home / "lake" / "loans" / "batches").iterdir()
    batch.write_bytes(batch.read_bytes()[:-1])
    assert "is altered; restore it" in refit("status", "loans")[2]
    batch.unlink()
    code, _, err = refit("status", "loans")
    assert code == 3
    assert "is missing; restore it" in err
