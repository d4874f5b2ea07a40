"""The metrics, in one table.

`TABLE` is the only place where a metric gets its name, kind, labels and help; the table in
`docs/operations.md` repeats it, and a test compares the two. No label holds an id: names of code,
tags, outcomes and verbs are bounded by what is deployed, ids are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from perdure.telemetry.histograms import Histogram

__all__ = ["TABLE", "MetricKind", "MetricSpec", "Metrics"]


class MetricKind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    """Only grows; its exposed name ends in `_total`."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0),
)
_SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One row of the table."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name, MetricKind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name, MetricKind.GAUGE, text, labels)


def _seconds(name: str, text: str, *labels: str) -> MetricSpec:
    return MetricSpec(name, MetricKind.HISTOGRAM, text, labels, _SECONDS)


TABLE: tuple[MetricSpec, ...] = (
    _gauge("perdure_info", "Always 1; says what this process is.", "role", "build"),
    _gauge("perdure_ready", "1 while the process takes work, else 0."),
    _gauge("perdure_draining", "1 from the request to stop until the end, else 0."),
    _counter("perdure_provider_calls_total", "Calls of storage.", "verb", "outcome"),
    _seconds("perdure_provider_call_seconds", "How long calls of storage took.", "verb"),
    _counter("perdure_hints_total", "Hints that came from storage.", "kind"),
    _counter("perdure_turns_total", "Turns, by what became of them.", "orchestration", "outcome"),
    _seconds("perdure_turn_seconds", "How long the code of one turn ran."),
    MetricSpec("perdure_turns_fetched", MetricKind.HISTOGRAM, "Turns per fetch.", buckets=_SIZES),
    _counter(
        "perdure_executions_ended_total", "Executions that ended.", "orchestration", "outcome"
    ),
    _gauge("perdure_turn_threads_given_up", "Threads in turns that do not return."),
    _gauge("perdure_executions_cached", "Executions kept live in memory."),
    _counter(
        "perdure_execution_lookups_total",
        "Where turns found their execution: live, opened from a fetched history, or reloaded.",
        "found",
    ),
    _counter("perdure_questions_total", "Queries that were answered.", "orchestration", "outcome"),
    _gauge("perdure_history_records_longest", "Records of the longest execution seen lately."),
    _counter(
        "perdure_activities_total",
        "Attempts of activities, by how they ended.",
        "activity",
        "tag",
        "outcome",
    ),
    _seconds("perdure_activity_seconds", "How long attempts of activities ran.", "activity"),
    _seconds(
        "perdure_activity_queue_seconds",
        "From the scheduling of an activity to its first attempt.",
        "tag",
    ),
    _gauge("perdure_slots", "Activities that may run at once."),
    _gauge("perdure_slots_busy", "Activities that run, and threads that do not stop."),
    _gauge("perdure_sessions", "Sessions whose activities come to this process."),
    _counter("perdure_leases_lost_total", "Leases that ended while the work went on.", "kind"),
)


class Metrics:
    """The metrics of one process, made from `TABLE` in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        # Finding the child of some labels costs more than counting: a tenth of an executor's time.
        self._counting: dict[tuple[str, ...], Counter] = {}
        for spec in TABLE:
            match spec.kind:
                case MetricKind.COUNTER:
                    self._counters[spec.name] = Counter(
                        spec.name, spec.help, spec.labels, registry=self.registry
                    )
                case MetricKind.GAUGE:
                    self._gauges[spec.name] = Gauge(
                        spec.name, spec.help, spec.labels, registry=self.registry
                    )
                case MetricKind.HISTOGRAM:
                    histogram = Histogram(spec.name, spec.help, spec.labels, spec.buckets)
                    self._histograms[spec.name] = histogram
                    self.registry.register(histogram)

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Add to a counter."""
        child = self._counting.get((name, *labels))
        if child is None:
            counter = self._counters[name]
            child = counter.labels(*labels) if labels else counter
            self._counting[name, *labels] = child
        child.inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add one observation to a histogram."""
        self._histograms[name].observe((value,), labels)

    def observe_all(self, name: str, values: Iterable[float], *labels: str) -> None:
        """Add many observations to a histogram."""
        self._histograms[name].observe(values, labels)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
