"""What is wrong with the servers: Prefect with its worker and schedules, the service, the console."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from flows.addresses import prefect_api, shown_host
from flows.conductor import POOL
from flows.server import PrefectServer
from refit.errors import OutageError
from refit.loop.doctor import Finding
from refit.settings import Settings
from refit.usecase.model import UseCase

FRESH: Final = timedelta(seconds=90)
"""A worker reports every half minute."""


def examine(settings: Settings, usecases: Sequence[UseCase], now: datetime) -> Iterator[Finding]:
    """Yield a finding for each server. One that does not run is a warning: every step runs without it, by hand."""
    yield from _prefect(settings, usecases, now)
    yield _answers(settings, "service", settings.service_port, "/readyz", "refit serve USECASE")
    yield _answers(settings, "console", settings.console_port, "/healthz", "refit console")


def _prefect(settings: Settings, usecases: Sequence[UseCase], now: datetime) -> Iterator[Finding]:
    server = PrefectServer(prefect_api(settings))
    try:
        if not server.is_healthy():
            yield Finding(
                "Prefect server", "warning", f"nothing answers on port {settings.prefect_port}", "refit up starts it"
            )
            return
        yield Finding("Prefect server", "ok", f"answers on port {settings.prefect_port}")
        if server.has_fresh_worker(POOL, now.astimezone(UTC) - FRESH):
            yield Finding("worker", "ok", f"a worker of pool {POOL} reports")
        else:
            do = f"prefect worker start --pool {POOL}"
            yield Finding("worker", "wrong", f"no worker of pool {POOL} reports: runs wait", do)
        due = server.scheduled(now)
        lost = [usecase.name for usecase in usecases if f"nightly-{usecase.name}" not in due]
        if lost:
            yield Finding("schedules", "wrong", f"no night to come for {', '.join(lost)}", "refit deploy")
        else:
            yield Finding("schedules", "ok", f"each has a night to come, the next {min(due.values()):%H:%M} UTC")
    except OutageError as error:
        yield Finding("Prefect server", "wrong", str(error), "see its log")
    finally:
        server.close()


def _answers(settings: Settings, name: str, port: int, path: str, start: str) -> Finding:
    try:
        answer = httpx.get(f"http://{shown_host(settings.host)}:{port}{path}", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return Finding(name, "warning", f"nothing answers on port {port}", f"{start} starts it")
    if answer.is_success:
        return Finding(name, "ok", f"answers on port {port}")
    return Finding(name, "wrong", f"port {port} answers {answer.status_code} to {path}", "see its log")
