"""What the controller counts. No label holds the name of an object."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

__all__ = ["Metrics"]


class Metrics:
    """Counters and gauges of one controller."""

    def __init__(self) -> None:
        """In a registry of its own, so that two controllers in one process do not collide."""
        self._registry = registry = CollectorRegistry()
        self.reconciles = Counter(
            "perdure_reconcile", "Reconciliations", ["kind", "result"], registry=registry
        )
        self.seconds = Histogram(
            "perdure_reconcile_duration_seconds",
            "Length of a reconciliation",
            ["kind"],
            registry=registry,
        )
        self.depth = Gauge(
            "perdure_workqueue_depth", "Objects that wait to be looked at", registry=registry
        )
        self.age = Gauge(
            "perdure_workqueue_oldest_seconds",
            "How long the first of them has waited",
            registry=registry,
        )
        self.retries = Counter(
            "perdure_workqueue_retries",
            "Reconciliations that failed and come again",
            registry=registry,
        )
        self.events_age = Gauge(
            "perdure_watch_age_seconds",
            "Since anything was heard from the API server",
            registry=registry,
        )
        self.writes = Counter(
            "perdure_status_writes", "Status writes", ["urgency"], registry=registry
        )
        self.suppressed = Counter(
            "perdure_status_writes_suppressed",
            "Status writes that nothing new called for",
            registry=registry,
        )
        self.throttle = Counter(
            "perdure_apiserver_throttle_seconds",
            "Time that writes waited for their turn",
            registry=registry,
        )
        self.requests = Counter(
            "perdure_apiserver_writes", "Writes to the API server", ["verb"], registry=registry
        )
        self.events = Counter(
            "perdure_events_posted", "Events posted", ["reason"], registry=registry
        )
        self.is_leader = Gauge(
            "perdure_is_leader", "Whether this controller leads", registry=registry
        )
        self.database_up = Gauge(
            "perdure_database_up", "Whether the database answers", registry=registry
        )
        self.objects = Gauge(
            "perdure_objects", "Objects that are known", ["kind"], registry=registry
        )

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
