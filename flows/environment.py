"""The environment in which `refit up` starts its parts."""

import os

from flows.addresses import prefect_api
from flows.automations import HEARTBEAT_SECONDS
from refit.settings import Settings


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of every child: the settings as they are here, and a Prefect of this home alone."""
    host, folder = settings.host, settings.folder / "prefect"
    ours = {
        "REFIT_HOME": str(settings.folder),
        "REFIT_USECASES": str(settings.usecases.expanduser().absolute()),
        "REFIT_HOST": host,
        "REFIT_PREFECT_PORT": str(settings.prefect_port),
        "REFIT_SERVICE_PORT": str(settings.service_port),
        "REFIT_CONSOLE_PORT": str(settings.console_port),
        "REFIT_LOG_LEVEL": settings.log_level,
        "REFIT_LAKE_URL": settings.lake,
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
        "PREFECT_HOME": str(folder),
        "PREFECT_PROFILES_PATH": str(folder / "profiles.toml"),
        "PREFECT_API_URL": prefect_api(settings),
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",  # V1 shows a report inside a run
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    }
    if os.environ.get("PYTHONDONTWRITEBYTECODE") and not os.environ.get("PYTHONPYCACHEPREFIX"):
        # Somebody wants no bytecode beside the sources; eight processes that each compile every library anew would
        # take twice the time, so it is kept here.
        ours |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(settings.folder / "bytecode")}
    for name, secret in (("REFIT_DATABASE_URL", settings.database_url), ("REFIT_SOURCE_URL", settings.source_url)):
        if secret is not None:
            ours[name] = secret.get_secret_value()
    foreign = {"PREFECT_PROFILE", "PREFECT_API_KEY"}
    if not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        foreign.add("PREFECT_API_AUTH_STRING")
    return {name: value for name, value in os.environ.items() if name not in foreign} | ours
