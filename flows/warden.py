"""`python -m flows.warden MARK [POSTGRES]`: ends what a killed `refit up` left behind.

It waits for its standard input to close, which happens when whoever started it is gone, however that came about. Then
it ends every process that carries the mark in its environment, and stops the embedded Postgres if nobody uses it.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "REFIT_UP"
"""The environment variable whose value all processes of one `refit up` share."""
PATIENCE_SECONDS: Final = 10


def marked(mark: str) -> Iterator[psutil.Process]:
    """Yield the living processes of ours that carry the mark."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, OSError):
            if process.environ().get(MARK) == mark:
                yield process


def end_all(mark: str) -> None:
    """Ask every marked process to end, and after a while end it; what it starts meanwhile too."""
    asked = list(marked(mark))
    for process in asked:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    psutil.wait_procs(asked, timeout=PATIENCE_SECONDS)
    while left := list(marked(mark)):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


def main(mark: str, postgres: str | None = None) -> None:
    """Wait, then clear up."""
    sys.stdin.read()
    end_all(mark)
    if postgres is not None and Path(postgres).exists():
        from refit.store import embedded  # noqa: PLC0415 - heavy, and needed at the very end only

        with embedded.running(Path(postgres)):
            pass  # the last one out stops it


if __name__ == "__main__":
    main(*sys.argv[1:])
