"""`refit deploy`: put work pool, deployments and automations on a Prefect server that runs already."""

import subprocess
from collections.abc import Callable, Mapping

from flows import automations
from flows.conductor import DEPLOY_SECONDS, DEPLOY_TRIES, POOL, ROOT, deploy_command
from flows.environment import environment
from flows.server import PrefectServer
from refit.errors import OutageError
from refit.settings import Settings

SHOWN = 2_000


def deploy(settings: Settings, echo: Callable[[str], None]) -> None:
    """Deploy everything; done before, it is brought up to date.

    Raises:
        OutageError: The server does not answer, or refuses.
    """
    given = environment(settings)
    server = PrefectServer(given["PREFECT_API_URL"])
    try:
        if not server.is_healthy():
            raise OutageError(f"no Prefect server answers on {given['PREFECT_API_URL']}; start it, or run `refit up`")
        server.keep_pool(POOL, is_paused=False)
        for _ in range(DEPLOY_TRIES):
            if not (refusal := _refusal(given)):
                break
        else:
            raise OutageError(refusal)
        for automation in automations.ALL:
            server.keep_automation(automation)
    finally:
        server.close()
    echo(f"the pool {POOL}, every deployment of prefect.yaml and {len(automations.ALL)} automations are in place")


def _refusal(environment: Mapping[str, str]) -> str:
    """Deploy all of `prefect.yaml` once; return what went wrong, nothing if nothing did."""
    try:
        done = subprocess.run(
            deploy_command(),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEPLOY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"prefect deploy did not end within {DEPLOY_SECONDS} s"
    if not done.returncode:
        return ""
    return f"prefect deploy ended with code {done.returncode}:\n{(done.stdout + done.stderr)[-SHOWN:]}"
