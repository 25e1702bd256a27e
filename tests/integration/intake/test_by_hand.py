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


@pytest.mark.parametrize("command", [["ingest", "cards"], ["load", "cards", "x.csv"], ["status", "cards"]], ids=str)
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
