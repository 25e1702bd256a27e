"""Every step by hand, without Prefect."""

import os
import signal
import sys
from typing import NoReturn

from refit.commands import decisions, nights, records, rejects, serving, upkeep, usecases  # noqa: F401 - each adds its commands to the app
from refit.commands.app import app
from refit.errors import ContractError, RefitError
from refit.terminal import err, print_json
from refit.trace import places

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
        err.print("\n".join([f"{type(error).__name__} at", *places(error)]))
        _fail(type(error).__name__, "refit met a fault of its own; the trace above says where", 1)
    except SystemExit as ended:
        # typer has told of a misused command on standard error, and ends in the handler of what was wrong
        message = getattr(ended.__context__, "format_message", None)
        if message is not None:
            _answer(ContractError.__name__, message())
        raise
    sys.exit(0)


def _fail(kind: str, message: str, code: int) -> NoReturn:
    err.print(f"error: {message}")
    _answer(kind, message)
    sys.exit(code)


def _answer(kind: str, message: str) -> None:
    """Print the failure as the one object that `--json` promises."""
    if "--json" in sys.argv:
        print_json({"error": {"kind": kind, "message": message}})


if __name__ == "__main__":
    main()
