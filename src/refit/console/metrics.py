"""What Prometheus reads of the nightly loop: the ledger's newest rows as gauges. The service tells of itself."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from refit.console.live import live_model
from refit.store.ledger import Ledger

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_BY_COLUMN: Final = ["use_case", "column"]


def exposition(ledger: Ledger, usecases: Sequence[str], now: datetime) -> bytes:
    """Return the gauges in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Nights(ledger, usecases, now))
    return generate_latest(registry)


class _Nights(Collector):
    def __init__(self, ledger: Ledger, usecases: Sequence[str], now: datetime) -> None:
        self._ledger, self._usecases, self._now = ledger, usecases, now

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge; one that has nothing to say of a use case leaves it out."""
        psi = GaugeMetricFamily("refit_psi", "PSI of the newest check", labels=_BY_COLUMN)
        missing = GaugeMetricFamily("refit_missing_share", "Missing now, newest check", labels=_BY_COLUMN)
        each = {
            name: GaugeMetricFamily(f"refit_{name}", text, labels=["use_case"])
            for name, text in (
                ("last_night_success", "1 where the last night completed"),
                ("last_night_seconds", "How long the last night took"),
                ("last_night_timestamp_seconds", "When the last night ended"),
                ("last_night_records", "Records the last night took in"),
                ("last_night_rejects", "Records the last night refused"),
                ("open_decisions", "Retrains asked for and not carried out"),
                ("champion_age_seconds", "Since the day from which the live model knows the data"),
            )
        }
        action = GaugeMetricFamily("refit_last_decision", "1 for the newest decision", labels=["use_case", "action"])
        promised = GaugeMetricFamily(
            "refit_promised", "What the live model's own test showed", labels=["use_case", "metric"]
        )
        seen = GaugeMetricFamily(
            "refit_matured_performance", "The live model on what matured since", labels=["use_case", "metric"]
        )
        for usecase in self._usecases:
            self._night(usecase, each)
            decision = next(iter(self._ledger.decisions(usecase, limit=1)), None)
            if decision is not None:
                action.add_metric([usecase, decision.action], 1)
                for column in _columns(decision.drift):
                    if column["psi"] is not None:
                        psi.add_metric([usecase, column["column"]], column["psi"])
                    if column["missing_current"] is not None:
                        missing.add_metric([usecase, column["column"]], column["missing_current"])
            live = live_model(self._ledger, usecase)
            if live is not None:
                each["champion_age_seconds"].add_metric([usecase], live.age(self._now).total_seconds())
                for name, value in _values(live.metrics):
                    promised.add_metric([usecase, name], value)
            for name, value in self._performance(usecase):
                seen.add_metric([usecase, name], value)
        yield from (psi, missing, action, promised, seen, *each.values())

    def _night(self, usecase: str, each: Mapping[str, GaugeMetricFamily]) -> None:
        each["open_decisions"].add_metric([usecase], len(self._ledger.open_decisions(usecase)))
        run = next(iter(self._ledger.runs(usecase, limit=1, kind="nightly")), None)
        if run is None:
            return
        each["last_night_success"].add_metric([usecase], float(run.outcome == "completed"))
        each["last_night_seconds"].add_metric([usecase], (run.finished_at - run.started_at).total_seconds())
        each["last_night_timestamp_seconds"].add_metric([usecase], run.finished_at.timestamp())
        for name, key in (("last_night_records", "ingested"), ("last_night_rejects", "rejected")):
            if isinstance(run.result.get(key), int):
                each[name].add_metric([usecase], run.result[key])

    def _performance(self, usecase: str) -> Iterator[tuple[str, float]]:
        """Yield what the newest night saw of matured records."""
        run = next(iter(self._ledger.runs(usecase, limit=1, kind="nightly")), None)
        found = None if run is None else run.result.get("performance")
        if isinstance(found, Mapping) and isinstance(found.get("seen"), float):
            yield str(found["metric"]), found["seen"]


def _columns(drift: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return what was checked of records; a night without new ones may have looked at live requests alone."""
    if drift is None or "columns" not in drift:
        return []
    return [*drift["columns"], *([drift["score"]] if drift["score"] is not None else [])]


def _values(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, seen in metrics.items():
        value = seen.get("value") if isinstance(seen, Mapping) else None
        if isinstance(value, int | float):
            yield name, float(value)
