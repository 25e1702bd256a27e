"""`refit deploy`: put work pool, deployments and automations on a Prefect server that runs already."""

import subprocess
from collections.abc import Callable

from flows import automations
from flows.conductor import POOL, ROOT, deploy_command
from flows.environment import environment
from flows.server import PrefectServer
from refit.errors import OutageError
from refit.settings import Settings

PATIENCE_SECONDS = 300
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
        done = subprocess.run(
            deploy_command(),
            cwd=ROOT,
            env=given,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        if done.returncode:
            raise OutageError(
                f"prefect deploy ended with code {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}"
            )
        for automation in automations.ALL:
            server.keep_automation(automation)
    finally:
        server.close()
    echo(f"the pool {POOL}, every deployment of prefect.yaml and {len(automations.ALL)} automations are in place")
