"""What one measurement says: the document that `perdure bench -o json` prints on a line.

The fields are fixed: a reader compares measurements of different days and builds. A field that
cannot be taken on this machine or server is null, never left out and never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

__all__ = [
    "CpuSeconds",
    "Latency",
    "Measurement",
    "PeakMemory",
    "as_json",
    "json_schema",
    "latency",
]

_MS_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles over all samples, in milliseconds."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """CPU time that each process used while it was measured; null where it cannot be read."""

    client: float | None
    replay: float | None
    executor: float | None
    postgres: float | None


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """The most memory that each process held since it started, in MiB."""

    client: float | None
    replay: float | None
    executor: float | None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one workload."""

    workload: str
    repeat: int
    """1 for the first."""
    n: int
    """Instances, samples or steps, as the workload says."""
    seconds: float
    """From the first call to the last result at the client."""
    per_second: float | None
    latency_ms: Latency | None
    transactions: int | None
    """Committed and rolled back in the workload's database, those of the server itself included."""
    statements: int | None
    """Sent by clients; null without the extension pg_stat_statements."""
    wal_bytes: int | None
    cpu_seconds: CpuSeconds
    rss_mb: PeakMemory
    detail: Mapping[str, float]
    """What this workload measures besides."""
    calls: Mapping[str, int]
    """Calls of each SQL function; empty where the server does not count them."""
    settings: Mapping[str, str]
    versions: Mapping[str, str]


_ADAPTER = TypeAdapter(Measurement)


def as_json(measurement: Measurement) -> str:
    """Write a measurement as one line."""
    return _ADAPTER.dump_json(measurement).decode()


def json_schema() -> dict[str, object]:
    """Describe that line to programs."""
    schema: dict[str, object] = _ADAPTER.json_schema(mode="serialization")
    return schema


def latency(seconds: Sequence[float]) -> Latency:
    """Take the percentiles of samples in seconds: each is a sample that was seen.

    >>> latency([0.001 * n for n in range(1, 101)])
    Latency(p50=50.0, p90=90.0, p99=99.0)
    """
    ordered = sorted(seconds)

    def at(share: float) -> float:
        rank = max(math.ceil(share * len(ordered)), 1)
        return round(ordered[rank - 1] * 1000, _MS_DIGITS)

    return Latency(p50=at(0.50), p90=at(0.90), p99=at(0.99))
