"""What a process tells of itself: numbers for Prometheus, lines of JSON for logs."""

from perdure.telemetry.logs import JsonFormatter, TextFormatter, configure_logging
from perdure.telemetry.metrics import TABLE, MetricKind, Metrics, MetricSpec

__all__ = [
    "TABLE",
    "JsonFormatter",
    "MetricKind",
    "MetricSpec",
    "Metrics",
    "TextFormatter",
    "configure_logging",
]
