"""Let go of what need not be kept: old reports, old predictions, what killed runs left. The lake stays whole."""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from refit.loop.wiring import World

LEFT_OVER: Final = timedelta(days=1)
"""What lies unfinished this long belongs to a killed run: a build takes seconds, a search no day."""
KILLED: Final = ("bentoml/.building-*", "bundles/*/.*.unfinished", "reports/*/*/.*.unfinished", "search/*/*.log")
"""Where a killed run leaves what it was making, under REFIT_HOME. The lake clears its own."""
ALWAYS_KEPT: Final = 10
"""The newest reports of each use case and kind are kept however old they are."""
NEVER: Final = "card"
"""A model's card is kept for good: somebody may ask years later why it was live."""

log = structlog.get_logger()


@dataclass(slots=True)
class Swept:
    """What went, or with a dry run would go."""

    dry_run: bool
    report_files: int = 0
    report_bytes: int = 0
    predictions: int = 0
    runs: int | None = 0
    left_overs: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def sweep(world: World, usecases: list[str], now: datetime, *, dry_run: bool = False) -> Swept:
    """Sweep what is older than the settings keep; with `dry_run` only say what would go."""
    settings, swept = world.settings, Swept(dry_run)
    for name in usecases:
        for path, size in _old_reports(world, name, now - timedelta(days=settings.keep_reports_days)):
            swept.report_files += 1
            swept.report_bytes += size
            if not dry_run:
                world.reports.remove(path)
    swept.predictions = world.ledger.sweep_predictions(
        now - timedelta(days=settings.keep_predictions_days), dry_run=dry_run
    )
    for left in _left_overs(settings.folder, now):
        swept.left_overs.append(left.relative_to(settings.folder).as_posix())
        if not dry_run:
            _remove(left)
    log.info("sweep.done", **{name: value for name, value in swept.to_json().items() if name != "left_overs"})
    return swept


def _old_reports(world: World, usecase: str, before: datetime) -> Iterator[tuple[str, int]]:
    """Yield path and size of the report files to let go: the ledger goes on saying that they were."""
    seen: dict[str, int] = {}
    for row in world.ledger.reports(usecase, limit=1_000_000):
        seen[row.kind] = seen.get(row.kind, 0) + 1
        if row.kind != NEVER and row.created_at < before and seen[row.kind] > ALWAYS_KEPT:
            for path in filter(None, (row.path_html, row.path_json)):
                size = world.reports.size(path)
                if size is not None:
                    yield path, size


def _left_overs(folder: Path, now: datetime) -> Iterator[Path]:
    oldest = (now - LEFT_OVER).timestamp()
    for found in (path for pattern in KILLED for path in folder.glob(pattern)):
        if found.lstat().st_mtime < oldest:
            yield found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
