"""Put a judged bundle live, and take it back."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from refit.errors import ReleaseError
from refit.loop.wiring import World
from refit.release import bento
from refit.store.rows import ReleaseRow, VerdictRow
from refit.usecase.model import UseCase

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Released:
    """What the ledger now says shall be live. The supervisor of a running service picks it up by itself."""

    release_id: int
    version: str
    bento_tag: str
    kind: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def release(world: World, usecase: UseCase, version: str | None, as_of: datetime) -> Released:
    """Build a promoted bundle as a Bento and make it the desired release; done before, it is left as it is.

    Args:
        version: The bundle; None for the newest that the gate promoted.

    Raises:
        ReleaseError: There is no such bundle, the gate did not promote it, or another model went live since.
    """
    verdict = _promoted(world, usecase, version)
    chosen = verdict.challenger
    live = world.ledger.live(usecase.name)
    if live is not None and live.version == chosen:
        return _released(live)
    if verdict.champion != (live.version if live is not None else None):
        now_live = live.version if live is not None else "nothing"
        raise ReleaseError(
            f"{chosen} was judged against {verdict.champion or 'no champion'}, and {now_live} is live now; "
            f"judge it anew with `refit retrain {usecase.name}`"
        )
    tag = bento.build(bundle_folder(world, chosen), bentoml_home=world.settings.bentoml)
    kept = world.ledger.record_release(
        ReleaseRow(
            usecase=usecase.name,
            version=chosen,
            bento_tag=tag,
            kind="release",
            reason="promoted by the gate",
            as_of=as_of,
        )
    )
    log.info("release.recorded", usecase=usecase.name, version=chosen, bento=tag)
    return _released(kept)


def catch_up(world: World, usecase: UseCase, as_of: datetime) -> Released | None:
    """Release what the gate promoted last, where a night was cut off before it got so far; None where it did not."""
    verdict = next(iter(world.ledger.verdicts(usecase.name, limit=1)), None)
    if verdict is None or verdict.outcome != "promote":
        return None
    live = world.ledger.live(usecase.name)
    judged_against_live = verdict.champion == (live.version if live is not None else None)
    released = any(row.version == verdict.challenger for row in world.ledger.releases(usecase.name))
    if released or not judged_against_live:
        return None
    return release(world, usecase, verdict.challenger, as_of)


def rollback(world: World, usecase: UseCase, as_of: datetime, reason: str = "asked for by hand") -> Released:
    """Make the release before the live one the desired one again.

    Raises:
        ReleaseError: There is none to go back to.
    """
    previous = world.ledger.previous(usecase.name)
    if previous is None:
        raise ReleaseError(f"{usecase.name} has no earlier release to go back to; what is live stays")
    kept = world.ledger.record_release(
        ReleaseRow(
            usecase=usecase.name,
            version=previous.version,
            bento_tag=previous.bento_tag,
            kind="rollback",
            reason=reason,
            as_of=as_of,
        )
    )
    log.info("release.rolled_back", usecase=usecase.name, version=kept.version)
    return _released(kept)


def bundle_folder(world: World, version: str) -> Path:
    """Return where the bundle of that version lies.

    Raises:
        ReleaseError: The ledger does not know it.
    """
    row = world.ledger.bundle(version)
    if row is None:
        raise ReleaseError(f"{version} is not in the ledger")
    return world.settings.bundles / row.path


def _promoted(world: World, usecase: UseCase, version: str | None) -> VerdictRow:
    """Return the newest verdict on the version, or the newest that promotes anything."""
    verdicts = world.ledger.verdicts(usecase.name, challenger=version)
    if version is not None and not verdicts:
        raise ReleaseError(f"{version} was never judged; run `refit retrain {usecase.name}` first")
    newest = verdicts[:1] if version is not None else [row for row in verdicts if row.outcome == "promote"][:1]
    if not newest or newest[0].outcome != "promote":
        what = version or f"every challenger of {usecase.name}"
        raise ReleaseError(f"the gate promoted nothing to release: {what} was refused, or there is none yet")
    return newest[0]


def _released(row: ReleaseRow) -> Released:
    if row.id is None:
        raise AssertionError("a release that was kept has its id")
    return Released(row.id, row.version, row.bento_tag, row.kind)
