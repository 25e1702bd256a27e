"""What Prometheus reads of the service; its own registry, so that nothing else is counted along."""

import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import accumulate
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Status = Literal["ok", "invalid_argument", "not_found", "unauthorized", "refused", "error"]
STATUSES: Final[tuple[Status, ...]] = ("ok", "invalid_argument", "not_found", "unauthorized", "refused", "error")
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SHARES: Final = tuple(step / 20 for step in range(1, 20))
TOLD: Final = ("swaps", "refusals", "restarts")
"""What only the supervisor knows: a generation counts from its own start."""


class Log(Protocol):
    """The decision log, as its gauges see it."""

    @property
    def backlog(self) -> int:
        """How many entries wait for Postgres."""
        ...

    @property
    def bytes(self) -> int:
        """How much of the disk it takes."""
        ...

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        ...


class Scores:
    """A histogram that takes a batch at once: prometheus_client's takes a lock and 1 us for each value."""

    def __init__(self, usecase: str) -> None:
        self._usecase = usecase
        self._counts = [0] * (len(SHARES) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, probabilities: list[float]) -> None:
        """Count probabilities; safe from any thread."""
        places = [bisect_left(SHARES, probability) for probability in probabilities]
        with self._lock:
            self._sum += sum(probabilities)
            for place in places:
                self._counts[place] += 1

    def family(self) -> HistogramMetricFamily:
        """Return what Prometheus reads."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        running = list(accumulate(counts))
        buckets = list(zip([*map(str, SHARES), "+Inf"], map(float, running), strict=True))
        family = HistogramMetricFamily("refit_score", "Probabilities answered", labels=["use_case"])
        family.add_metric([self._usecase], buckets, total)
        return family


class Metrics:
    """The counts of one served model; its labels are fixed, so each is looked up once."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, usecase: str, version: str, as_of: datetime, log: Log | None = None) -> None:
        self._registry = CollectorRegistry()
        self._born = time.time()
        self._told: Mapping[str, float] = {}
        self.in_flight = 0
        labels = {"use_case": usecase, "version": version}
        ProcessCollector(registry=self._registry)
        Info("refit_model", "The live model", registry=self._registry).info(
            labels | {"as_of": as_of.date().isoformat()}
        )
        predictions = Counter(
            "refit_predictions",
            "Predictions asked for, by how they ended",
            ["use_case", "version", "status"],
            registry=self._registry,
        )
        self._predictions = {status: predictions.labels(usecase, version, status) for status in STATUSES}
        self._latency = Histogram(
            "refit_latency_seconds",
            "From the whole body to the answer",
            ["use_case"],
            buckets=SECONDS,
            registry=self._registry,
        ).labels(usecase)
        self._scores = Scores(usecase)
        self._gauges(as_of, log)
        self._registry.register(self)

    def count(self, status: Status, n: int = 1) -> None:
        """Count `n` predictions that ended so."""
        self._predictions[status].inc(n)

    def scored(self, probabilities: list[float], seconds: float) -> None:
        """Count predictions that were answered."""
        self._predictions["ok"].inc(len(probabilities))
        self._latency.observe(seconds)
        self._scores.observe(probabilities)

    def text(self, told: Mapping[str, float]) -> bytes:
        """Return what Prometheus scrapes.

        Args:
            told: What the supervisor last said of itself: `swaps`, `refusals`, `restarts`, and `live_since`;
                `silent_since`, the Unix time from which the ledger gives no answer, or 0; `unconfirmed`, 1 or 0.
        """
        self._told = told
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Say that no name is claimed before there is something to say."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return the scores, and the supervisor's own counts."""
        yield self._scores.family()
        for name in TOLD:
            if name in self._told:
                yield CounterMetricFamily(f"refit_{name}", _MEANING[name], value=self._told[name])
        if "silent_since" in self._told:
            since = self._told["silent_since"]
            silent = max(time.time() - since, 0.0) if since else 0.0
            yield GaugeMetricFamily("refit_ledger_silent_seconds", "How long the ledger gives no answer", value=silent)
        if "unconfirmed" in self._told:
            meaning = "1 while what is live was taken from this machine's disk, for the ledger has not answered yet"
            yield GaugeMetricFamily("refit_release_unconfirmed", meaning, value=self._told["unconfirmed"])

    def _gauges(self, as_of: datetime, log: Log | None) -> None:
        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(name, meaning, registry=self._registry)

        gauge("refit_in_flight", "Requests being answered").set_function(lambda: self.in_flight)
        age = Gauge("refit_model_age_seconds", "Age of the live model", ["since"], registry=self._registry)
        age.labels("as_of").set_function(lambda: time.time() - as_of.timestamp())
        age.labels("live").set_function(lambda: max(time.time() - self._told.get("live_since", self._born), 0.0))
        if log is not None:
            gauge("refit_log_backlog", "Entries of the decision log not yet in Postgres").set_function(
                lambda: log.backlog
            )
            gauge("refit_log_bytes", "What the decision log takes of the disk").set_function(lambda: log.bytes)
            gauge("refit_log_full", "1 while the decision log takes no more").set_function(lambda: log.full)


_MEANING: Final = {
    "swaps": "Releases that took the place of another",
    "refusals": "Releases that did not go live",
    "restarts": "Times the live release crashed or hung and was started again",
}
