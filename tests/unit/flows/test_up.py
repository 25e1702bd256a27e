import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from flows.conductor import ROOT
from flows.environment import environment
from flows.up import PREFECT_LOCK, _alone, _Stop, check_doors, check_ports, up
from refit.errors import ContractError, OutageError
from refit.settings import Settings
from refit.usecase.catalogue import find


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    for name in ("REFIT_DATABASE_URL", "REFIT_SOURCE_URL", "REFIT_HOST"):
        monkeypatch.delenv(name, raising=False)
    prefect, service, console = free_ports(3)
    return Settings(home=tmp_path / "home", prefect_port=prefect, service_port=service, console_port=console)


def test_free_ports_are_fine(settings):
    check_ports(settings)


@pytest.mark.parametrize("name", ["prefect_port", "service_port", "console_port"])
def test_a_taken_port_is_told_with_its_setting(settings, name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", getattr(settings, name)))
        taken.listen()
        with pytest.raises(OutageError, match=f"port {getattr(settings, name)} .* REFIT_{name.upper()}"):
            check_ports(settings)


def test_a_taken_port_stops_everything_before_it_starts(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.service_port))
        taken.listen()
        with pytest.raises(OutageError, match="REFIT_SERVICE_PORT"):
            up(settings, [find("demo")], print)
    assert sorted(path.name for path in settings.folder.iterdir()) == ["up.lock"]


def test_two_parts_cannot_have_one_port(settings):
    same = settings.model_copy(update={"console_port": settings.service_port})
    with pytest.raises(ContractError, match="REFIT_SERVICE_PORT and REFIT_CONSOLE_PORT are both"):
        check_ports(same)


def test_a_host_that_is_none_of_this_machine_is_told(settings):
    with pytest.raises(ContractError, match="REFIT_HOST"):
        check_ports(settings.model_copy(update={"host": "no-such-host.invalid"}))


def test_one_home_has_one_refit_up(settings):
    with _alone(settings.folder), pytest.raises(OutageError, match=r"already \(process \d+\)"), _alone(settings.folder):
        pass
    with _alone(settings.folder):
        pass


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutageError, match="REFIT_HOME"), _alone(tmp_path / "file"):
        pass


def test_without_a_use_case_there_is_nothing_to_do(settings):
    with pytest.raises(ContractError, match="name a use case"):
        up(settings, [], print)


def test_a_use_case_that_is_not_deployed_is_told_before_anything_starts(settings):
    mine = find("demo").model_copy(update={"name": "mine"})
    with pytest.raises(ContractError, match=r"prefect\.yaml has no deployment nightly-mine"):
        up(settings, [mine], print)
    assert not settings.folder.exists()


def test_the_first_signal_breaks_off_and_the_second_hurries():
    stop = _Stop()
    with pytest.raises(KeyboardInterrupt):
        stop.on_signal(2, None)
    assert not stop.is_hurried()
    stop.on_signal(2, None)
    assert stop.is_hurried()


def test_once_the_end_has_begun_a_signal_breaks_nothing_off():
    stop = _Stop()
    stop.leave()
    stop.on_signal(15, None)
    assert stop.is_hurried()


def test_children_see_the_settings_as_they_are_wherever_they_run(settings, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REFIT_HOME", "elsewhere")
    given = environment(settings.model_copy(update={"home": Path("here"), "database_url": SecretStr("postgresql://x")}))
    assert given["REFIT_HOME"] == str(tmp_path / "here")
    assert given["REFIT_USECASES"] == str(tmp_path / "usecases")
    assert given["REFIT_DATABASE_URL"] == "postgresql://x"
    assert given["REFIT_SERVICE_PORT"] == str(settings.service_port)
    assert given["PREFECT_HOME"].startswith(given["REFIT_HOME"])


def test_a_prefect_of_somebody_elses_is_left_alone(settings, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "https://elsewhere.example/api")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("PREFECT_PROFILE", "work")
    given = environment(settings)
    assert given["PREFECT_API_URL"] == f"http://127.0.0.1:{settings.prefect_port}/api"
    assert not {"PREFECT_API_KEY", "PREFECT_PROFILE"} & set(given)


def test_nothing_is_told_to_anybody_outside(settings):
    given = environment(settings)
    assert given["DO_NOT_TRACK"] == "1"
    assert given["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


@pytest.mark.parametrize(
    ("unwanted", "prefix", "expected"),
    [
        ("", None, ("", None)),
        ("1", None, ("", "bytecode")),
        ("1", "/elsewhere", ("1", "/elsewhere")),
    ],
    ids=["beside the sources", "not beside the sources", "where somebody wants it"],
)
def test_bytecode_is_kept_but_never_where_it_is_not_wanted(settings, monkeypatch, unwanted, prefix, expected):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", unwanted)
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    if prefix:
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", prefix)
    given = environment(settings)
    kept = given.get("PYTHONPYCACHEPREFIX")
    assert (given["PYTHONDONTWRITEBYTECODE"], kept and kept.removeprefix(f"{settings.folder}/")) == expected


def test_bound_to_every_address_the_parts_still_find_each_other(settings):
    given = environment(settings.model_copy(update={"host": "0.0.0.0"}))  # noqa: S104 - what is tried
    assert given["PREFECT_SERVER_API_HOST"] == "0.0.0.0"  # noqa: S104
    assert given["PREFECT_API_URL"].startswith("http://127.0.0.1:")


def test_the_flows_lie_where_the_deployments_look_for_them():
    assert (ROOT / "flows" / "nightly.py").is_file()
    assert (ROOT / "prefect.yaml").is_file()


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.7"])
def test_prefects_server_is_not_opened_to_strangers(host, monkeypatch):
    monkeypatch.delenv(PREFECT_LOCK, raising=False)
    with pytest.raises(ContractError, match="would open the Prefect server"):
        check_doors(Settings(host=host))
    monkeypatch.setenv(PREFECT_LOCK, "user:password")
    check_doors(Settings(host=host))
    check_doors(Settings())
