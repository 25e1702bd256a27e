"""Every step by hand, without Prefect."""

import json
import os
import signal
import sys
import traceback
from typing import NoReturn

from refit.commands import decisions, nights, records, serving, upkeep, usecases  # noqa: F401 - each adds its commands to the app
from refit.commands.app import app
from refit.errors import RefitError
from refit.terminal import err

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line; turn every failure into a clean message and an honest exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    # A training thread that waits must not spin: with a neighbour on its core, fitting takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except RefitError as error:
        _fail(type(error).__name__, str(error), error.exit_code)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the one place of this entrance that catches all
        err.print(traceback.format_exc())
        _fail(type(error).__name__, "refit met a fault of its own; the trace above says where", 1)
    sys.exit(0)


def _fail(kind: str, message: str, code: int) -> NoReturn:
    err.print(f"error: {message}")
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps({"error": {"kind": kind, "message": message}}) + "\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
