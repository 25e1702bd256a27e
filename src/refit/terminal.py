"""What a person sees of a command: lines, progress, and results in plain words."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

WIDE: Final = 200
out = Console(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(highlight=False, markup=False, soft_wrap=True, stderr=True)


@contextmanager
def bytes_bar(text: str, file: Path) -> Generator[Callable[[int], None], None, None]:
    """Show how much of a file is done, on standard error."""
    total = file.stat().st_size if file.is_file() else None
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def spinner() -> Generator[Callable[[str, float | None], None], None, None]:
    """Show what is being done, on standard error."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(text: str, fraction: float | None) -> None:
            bar.update(task, description=text, total=None if fraction is None else 1.0, completed=fraction or 0.0)

        yield show


def print_json(content: dict[str, Any]) -> None:
    """Print one object on standard output."""
    sys.stdout.write(json.dumps(content, default=str) + "\n")


def print_decision(usecase: str, decision: dict[str, Any]) -> None:
    """Print a decision and its reasons."""
    out.print(f"decision for {usecase}: {decision['action']}")
    for reason in decision["reasons"]:
        where = f"{reason['column']}: " if reason["column"] else ""
        out.print(f"  - {where}{reason['why']}")


def print_verdict(version: str, verdict: dict[str, Any]) -> None:
    """Print the gate's verdict, check by check."""
    out.print(f"challenger {version}: {verdict['outcome']}")
    for line in verdict["checks"]:
        out.print(f"  {line['outcome']:<15} {line['name']}: {line['why']}")


def print_released(usecase: str, released: dict[str, Any], *, as_json: bool) -> None:
    """Print what shall be live from now on."""
    if as_json:
        print_json(released)
        return
    out.print(f"{released['kind']}: {released['version']} is the desired release of {usecase}")
