"""What went wrong, as a value that can be stored and sent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from perdure.model.ids import JsonText


class FailureCategory(StrEnum):
    """Who must act; only `APPLICATION`, `TIMEOUT` and the outcomes of children reach user code."""

    APPLICATION = "application"
    """User code raised."""
    TIMEOUT = "timeout"
    """An attempt or a run took longer than it was given."""
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    CONFIGURATION = "configuration"
    """Missing code, undecodable payload, limits: the author or the operator must act."""
    INFRASTRUCTURE = "infrastructure"
    POISON = "poison"
    """Given out too many times without an answer: it probably kills its executor."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure, with what a remote reader needs to understand it."""

    category: FailureCategory
    type: str
    """Class name of the exception, or the engine's name for the reason."""
    message: str
    retryable: bool = True
    details: JsonText | None = None
    traceback: str | None = None
    """The remote traceback as text; never evaluated."""
    cause: Failure | None = None
