import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from refit.errors import ContractError
from refit.settings import Settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("REFIT_"):
            monkeypatch.delenv(name)


def test_without_an_environment_all_lies_under_one_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = Settings.read()
    assert settings.folder == tmp_path / ".refit"
    assert Path(settings.lake) == tmp_path / ".refit" / "lake"
    assert settings.database_url is None
    assert settings.host == "127.0.0.1"
    assert list(tmp_path.iterdir()) == []


def test_every_setting_is_read_from_its_variable(monkeypatch):
    for name, value in {
        "HOME": "/srv/x",
        "LAKE_URL": "s3://bucket/lake",
        "SERVICE_PORT": "3001",
        "USECASES": "mine",
    }.items():
        monkeypatch.setenv(f"REFIT_{name}", value)
    settings = Settings.read()
    assert (settings.folder, settings.lake) == (Path("/srv/x"), "s3://bucket/lake")
    assert (settings.service_port, settings.usecases) == (3001, Path("mine"))


def test_a_home_may_be_written_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REFIT_HOME", "~/loans")
    assert Settings.read().folder == tmp_path / "loans"


@pytest.mark.parametrize(
    "name", ["HOME", "DATABASE_URL", "SOURCE_URL", "LAKE_URL", "SERVICE_PORT", "LOG_LEVEL", "HOST"]
)
def test_an_empty_variable_is_none(monkeypatch, name):
    plain = Settings.read()
    monkeypatch.setenv(f"REFIT_{name}", "")
    assert Settings.read() == plain


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERVICE_PORT", "secret-0"),
        ("SERVICE_PORT", "0"),
        ("CONSOLE_PORT", "65536"),
        ("PREFECT_PORT", "80.5"),
        ("LOG_LEVEL", "secret-loud"),
    ],
    ids=str,
)
def test_a_setting_that_does_not_fit_is_named_without_its_value(monkeypatch, name, value):
    monkeypatch.setenv(f"REFIT_{name}", value)
    with pytest.raises(ContractError, match=f"^REFIT_{name}: ") as error:
        Settings.read()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e10", "1" * 400], ids=lambda value: value[:8])
@pytest.mark.parametrize(
    "name",
    [
        *("START_SECONDS", "SPOOL_MB", "REQUEST_SECONDS", "MAX_CONCURRENT"),
        *("KEEP_REPORTS_DAYS", "KEEP_PREDICTIONS_DAYS", "KEEP_RUNS_DAYS"),
    ],
)
def test_a_number_that_nothing_can_be_reckoned_with_is_named_at_once(monkeypatch, name, value):
    """Taken as it is, it breaks each generation in its start, and the release is refused for everybody."""
    monkeypatch.setenv(f"REFIT_{name}", value)
    with pytest.raises(ContractError, match=f"^REFIT_{name}: "):
        Settings.read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("START_SECONDS", "86400"), ("SPOOL_MB", "1e8"), ("REQUEST_SECONDS", "3600"), ("MAX_CONCURRENT", "1000000")),
        *((f"KEEP_{what}_DAYS", "36500") for what in ("REPORTS", "PREDICTIONS", "RUNS")),
    ],
)
def test_the_largest_number_that_is_allowed_is_taken(monkeypatch, name, value):
    monkeypatch.setenv(f"REFIT_{name}", value)
    assert getattr(Settings.read(), name.lower()) == float(value)


def test_every_setting_that_does_not_fit_is_named_at_once(monkeypatch):
    monkeypatch.setenv("REFIT_SERVICE_PORT", "x")
    monkeypatch.setenv("REFIT_CONSOLE_PORT", "y")
    with pytest.raises(ContractError) as error:
        Settings.read()
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        "REFIT_SERVICE_PORT",
        "REFIT_CONSOLE_PORT",
    ]


def test_a_password_is_never_shown(monkeypatch):
    monkeypatch.setenv("REFIT_DATABASE_URL", "postgresql://refit:hunter2@db/refit")
    settings = Settings.read()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.database_url.get_secret_value().endswith("hunter2@db/refit")


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings.read().host = "0.0.0.0"  # noqa: S104 - refused
