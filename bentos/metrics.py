"""What Prometheus reads of the service; its own registry, so that nothing else is counted along."""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

Status = Literal["ok", "invalid_argument", "not_found", "unauthorized", "refused", "error"]
STATUSES: Final[tuple[Status, ...]] = ("ok", "invalid_argument", "not_found", "unauthorized", "refused", "error")
SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SHARES: Final = tuple(step / 20 for step in range(1, 20))


class Metrics:
    """The counts of one served model; its labels are fixed, so each is looked up once."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, usecase: str, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        labels = {"use_case": usecase, "version": version}
        Info("refit_model", "The live model", registry=self._registry).info(labels)
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
        self._score = Histogram(
            "refit_score", "Probabilities answered", ["use_case"], buckets=SHARES, registry=self._registry
        ).labels(usecase)

    def count(self, status: Status, n: int = 1) -> None:
        """Count `n` predictions that ended so."""
        self._predictions[status].inc(n)

    def scored(self, probabilities: list[float], seconds: float) -> None:
        """Count predictions that were answered."""
        self._predictions["ok"].inc(len(probabilities))
        self._latency.observe(seconds)
        for probability in probabilities:
            self._score.observe(probability)

    def text(self) -> bytes:
        """Return what Prometheus scrapes."""
        return generate_latest(self._registry)
