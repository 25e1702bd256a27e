"""What was trained on what, what the gate made of it, and who overrode it."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from refit.store.database import Database, add, columns
from refit.store.rows import BundleHead, BundleRow, OverrideRow, SnapshotRow, VerdictRow
from refit.store.tables import BUNDLE, OVERRIDE, SNAPSHOT, VERDICT

_SNAPSHOTS = select(*columns(SNAPSHOT, SnapshotRow))
_BUNDLES = select(*columns(BUNDLE, BundleRow))
_HEADS = select(*columns(BUNDLE, BundleHead))
_VERDICTS = select(*columns(VERDICT, VerdictRow))
_OVERRIDES = select(*columns(OVERRIDE, OverrideRow))


class Models(Database):
    """The ledger's pages on snapshots, bundles, verdicts and overrides."""

    def record_snapshot(self, snapshot: SnapshotRow) -> bool:
        """Keep a snapshot; False if the same content was kept before."""
        return self._add(SNAPSHOT, snapshot)

    def snapshot(self, usecase: str, sha256: str) -> SnapshotRow | None:
        """Return one snapshot."""
        return self._row(SnapshotRow, _SNAPSHOTS.where(SNAPSHOT.c.usecase == usecase, SNAPSHOT.c.sha256 == sha256))

    def record_bundle(self, bundle: BundleRow) -> bool:
        """Keep a bundle; False if the same version, which its content names, was kept before."""
        return self._add(BUNDLE, bundle)

    def record_judged(self, bundle: BundleRow, verdict: VerdictRow) -> None:
        """Keep a bundle and what the gate made of it: both or neither. A bundle kept before gets one verdict more."""
        with self._transaction() as connection:
            add(connection, BUNDLE, bundle)
            add(connection, VERDICT, verdict)

    def bundle(self, version: str) -> BundleRow | None:
        """Return one bundle."""
        return self._row(BundleRow, _BUNDLES.where(BUNDLE.c.version == version))

    def bundles(self, usecase: str, limit: int = 100, *, as_of: datetime | None = None) -> list[BundleRow]:
        """Return bundles, newest first; with `as_of`, those of that day or before."""
        query = _BUNDLES.where(BUNDLE.c.usecase == usecase)
        if as_of is not None:
            query = query.where(BUNDLE.c.as_of <= as_of)
        return self._rows(BundleRow, query.order_by(BUNDLE.c.number.desc()).limit(limit))

    def bundle_head(self, version: str) -> BundleHead | None:
        """Return one bundle without its card."""
        return self._row(BundleHead, _HEADS.where(BUNDLE.c.version == version))

    def bundle_heads(
        self, usecase: str | None = None, limit: int = 100, *, before: int | None = None
    ) -> list[BundleHead]:
        """Return bundles without their cards, which are large, newest first, of one use case or of all.

        Args:
            before: Only those older than the bundle of this number.
        """
        query = _HEADS if usecase is None else _HEADS.where(BUNDLE.c.usecase == usecase)
        if before is not None:
            query = query.where(BUNDLE.c.number < before)
        return self._rows(BundleHead, query.order_by(BUNDLE.c.number.desc()).limit(limit))

    def record_verdict(self, verdict: VerdictRow) -> None:
        """Keep a verdict."""
        self._add(VERDICT, verdict)

    def verdicts(self, usecase: str, limit: int = 100, *, challenger: str | None = None) -> list[VerdictRow]:
        """Return verdicts, newest first; with `challenger`, those on it."""
        query = _VERDICTS.where(VERDICT.c.usecase == usecase)
        if challenger is not None:
            query = query.where(VERDICT.c.challenger == challenger)
        return self._rows(VerdictRow, query.order_by(VERDICT.c.number.desc()).limit(limit))

    def last_verdicts(self, challengers: Collection[str]) -> dict[str, VerdictRow]:
        """Return the newest verdict on each challenger that was judged."""
        query = _VERDICTS.where(VERDICT.c.challenger.in_(challengers)).distinct(VERDICT.c.challenger)
        found = self._rows(VerdictRow, query.order_by(VERDICT.c.challenger, VERDICT.c.number.desc()))
        return {verdict.challenger: verdict for verdict in found}

    def record_override(self, override: OverrideRow) -> None:
        """Keep who had a refused bundle released, and why."""
        self._add(OVERRIDE, override)

    def overrides(self, usecase: str, limit: int = 100, *, version: str | None = None) -> list[OverrideRow]:
        """Return overrides, newest first; with `version`, those of it."""
        query = _OVERRIDES.where(OVERRIDE.c.usecase == usecase)
        if version is not None:
            query = query.where(OVERRIDE.c.version == version)
        return self._rows(OverrideRow, query.order_by(OVERRIDE.c.number.desc()).limit(limit))
