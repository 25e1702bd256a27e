"""Put a judged bundle live, and take it back."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from refit.errors import DataError, ReleaseError
from refit.gate.serving import GOLDEN, agreement
from refit.loop.wiring import World, now
from refit.release import bento
from refit.scoring import bundle as bundles
from refit.scoring.bundle import Bundle
from refit.store.rows import OverrideRow, ReleaseRow, VerdictRow
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


@dataclass(frozen=True, slots=True)
class Override:
    """Who takes it upon them to release a model the gate refused, and why.

    Raises:
        ReleaseError: Either is empty.
    """

    by: str
    reason: str

    def __post_init__(self) -> None:
        if not self.by.strip() or not self.reason.strip():
            raise ReleaseError("an override takes the name of the person who answers for it, and a reason")


def release(
    world: World, usecase: UseCase, version: str | None, as_of: datetime | None, *, override: Override | None = None
) -> Released:
    """Build a promoted bundle as a Bento and make it the desired release; done before, it is left as it is.

    Args:
        version: The bundle; None for the newest that the gate had promoted by `as_of`.
        as_of: The day it goes live; None for now, or for the verdict's own day where that has not ended yet.
        override: Releases a bundle that the gate refused all the same; kept in the ledger for good.

    Raises:
        ReleaseError: There is no such bundle, it is damaged or of a later day, the gate did not promote it, or another
            model went live since.
    """
    if override is not None and version is None:
        raise ReleaseError("an override names the version it is for")
    with world.ledger.release_lock(usecase.name):
        return _released_alone(world, usecase, version, as_of, override)


def _released_alone(
    world: World, usecase: UseCase, version: str | None, asked_for: datetime | None, override: Override | None
) -> Released:
    verdict = _promoted(world, usecase, version, asked_for) if override is None else _judged(world, usecase, version)
    overridden = override if verdict.outcome == "refuse" else None
    chosen = verdict.challenger
    as_of = max(now(), verdict.as_of) if asked_for is None else asked_for
    if verdict.as_of > as_of:
        raise ReleaseError(
            f"{chosen} knows what was known at {_minute(verdict.as_of)}, so it cannot go live at {_minute(as_of)}; "
            "release it as of its own day, or of a later one"
        )
    live = world.ledger.live(usecase.name)
    if live is not None and live.version == chosen:
        return _released(live)
    if verdict.champion != (live.version if live is not None else None):
        raise ReleaseError(
            f"{chosen} was judged against {verdict.champion or 'no champion'}, and "
            f"{_instead(world, live, verdict.as_of)}; judge it anew with `refit retrain {usecase.name}`"
        )
    _require_sound(world, verdict)
    tag = bento.build(bundle_folder(world, chosen), bentoml_home=world.settings.bentoml)
    reason, on_record = "promoted by the gate", None
    if overridden is not None:
        by, why = overridden.by.strip(), overridden.reason.strip()
        reason = f"overridden by {by}: {why}"
        on_record = OverrideRow(
            usecase=usecase.name, version=chosen, verdict=verdict.id, by=by, reason=why, as_of=as_of
        )
        log.warning("gate.overridden", usecase=usecase.name, version=chosen, by=by)
    kept = world.ledger.record_release(
        ReleaseRow(
            usecase=usecase.name,
            version=chosen,
            bento_tag=tag,
            kind="release",
            reason=reason,
            as_of=as_of,
        ),
        on_record,
    )
    log.info("release.recorded", usecase=usecase.name, version=chosen, bento=tag)
    return _released(kept)


def catch_up(world: World, usecase: UseCase, as_of: datetime) -> Released | None:
    """Release what the gate promoted last, where a night was cut off before it got so far; None where it did not.

    A verdict of a later day is none yet: a model that knows more than `as_of` must not go live then.
    """
    verdict = next((row for row in world.ledger.verdicts(usecase.name) if row.as_of <= as_of), None)
    if verdict is None or verdict.outcome != "promote":
        return None
    live = world.ledger.live(usecase.name)
    judged_against_live = verdict.champion == (live.version if live is not None else None)
    released = any(row.version == verdict.challenger for row in world.ledger.releases(usecase.name))
    if released or not judged_against_live:
        return None
    return release(world, usecase, verdict.challenger, as_of)


def rollback(world: World, usecase: UseCase, as_of: datetime, reason: str = "asked for by hand") -> Released:
    """Make the release before the live one the desired one again; one whose Bento is gone is passed over.

    Raises:
        ReleaseError: There is none to go back to, or none of which the Bento is left.
    """
    with world.ledger.release_lock(usecase.name):
        previous, passed_over = _to_go_back_to(world, usecase)
        if passed_over:
            reason = f"{reason}; the Bento of {', '.join(passed_over)} is gone"
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


def _to_go_back_to(world: World, usecase: UseCase) -> tuple[ReleaseRow, list[str]]:
    """Return the release to go back to, and the versions in between whose Bentos are gone.

    Only where the Bento of what is live lies is it known that another one is gone: elsewhere, as beside a service that
    runs from images, it may well be where that service looks for it.
    """
    earlier, live = world.ledger.earlier(usecase.name), world.ledger.live(usecase.name)
    if not earlier:
        raise ReleaseError(f"{usecase.name} has no earlier release to go back to; what is live stays")
    store = world.settings.bentoml
    left = [bento.bento_path(row.bento_tag, store).is_dir() for row in earlier]
    if live is None or not bento.bento_path(live.bento_tag, store).is_dir():
        if not left[0]:
            log.warning("release.bento_not_here", version=earlier[0].version, then="a service with this home waits")
        return earlier[0], []
    nearest = left.index(True) if any(left) else len(earlier)
    gone = list(dict.fromkeys(row.version for row in earlier[:nearest]))
    if nearest == len(earlier):
        raise ReleaseError(
            f"the Bento of {', '.join(gone)} is gone from {store}: restore it from a backup; what is live stays"
        )
    return earlier[nearest], gone


def bundle_folder(world: World, version: str) -> Path:
    """Return where the bundle of that version lies.

    Raises:
        ReleaseError: The ledger does not know it.
    """
    row = world.ledger.bundle(version)
    if row is None:
        raise ReleaseError(f"{version} is not in the ledger")
    return world.settings.bundles / row.path


def champion(world: World, live: ReleaseRow) -> Bundle:
    """Return the model of what is live.

    Raises:
        DataError: Its bundle is damaged; says what to do.
    """
    try:
        return bundles.load(bundle_folder(world, live.version))
    except DataError as error:
        raise DataError(
            f"the live model {live.version} cannot be read: {error}; restore its folder from a backup, or go back to "
            f"the release before with `refit rollback {live.usecase}`"
        ) from None


def _judged(world: World, usecase: UseCase, version: str | None) -> VerdictRow:
    """Return the newest verdict on the version."""
    verdicts = world.ledger.verdicts(usecase.name, limit=1, challenger=version)
    if not verdicts:
        raise ReleaseError(f"{version} was never judged; run `refit retrain {usecase.name}` first")
    return verdicts[0]


def _require_sound(world: World, verdict: VerdictRow) -> None:
    """Refuse what neither the gate nor a person can answer for: what cannot be loaded, or is not known to answer right.

    Raises:
        ReleaseError: It is so; says which.
    """
    version = verdict.challenger
    no_override = f"{version} cannot be released, and no override is possible:"
    for check in verdict.checks:
        if check["name"] == GOLDEN and check["outcome"] == "fail":
            raise ReleaseError(f"{no_override} it is not shown to answer in service as in training: {check['why']}")
    try:
        bundle = bundles.load(bundle_folder(world, version))
    except DataError as error:
        raise ReleaseError(
            f"{no_override} its bundle cannot be loaded: {error}; restore its folder from a backup, or train anew with "
            f"`refit retrain {verdict.usecase}`"
        ) from None
    if agreement(bundle, None).outcome != "pass":
        raise ReleaseError(f"{no_override} its golden records no longer get the probability they got in training")


def _instead(world: World, live: ReleaseRow | None, as_of: datetime) -> str:
    """Say what is live in place of the champion that was judged against."""
    if live is None:
        return "nothing is live now"
    made = world.ledger.bundle_head(live.version)
    if made is None or made.as_of <= as_of:
        return f"{live.version} is live now"
    return f"{live.version} is live now, which knows what was known at {_minute(made.as_of)}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _promoted(world: World, usecase: UseCase, version: str | None, as_of: datetime | None) -> VerdictRow:
    """Return the newest verdict on the version, or the newest by `as_of` that promotes anything."""
    if version is not None:
        newest = [_judged(world, usecase, version)]
    else:
        promoted = [row for row in world.ledger.verdicts(usecase.name) if row.outcome == "promote"]
        newest = [row for row in promoted if as_of is None or row.as_of <= as_of][:1]
    if newest and newest[0].outcome != "promote":
        failed = ", ".join(check["name"] for check in newest[0].checks if check["outcome"] == "fail")
        raise ReleaseError(
            f"{version} was refused by the gate: {failed}. A person may override it: --version {version} --by NAME "
            "--reason WHY"
        )
    if not newest:
        raise ReleaseError(f"the gate has promoted no challenger of {usecase.name}, so there is nothing to release")
    return newest[0]


def _released(row: ReleaseRow) -> Released:
    if row.id is None:
        raise AssertionError("a release that was kept has its id")
    return Released(row.id, row.version, row.bento_tag, row.kind)
