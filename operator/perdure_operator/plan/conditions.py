"""Conditions: built whole each time, with the old time of transition where nothing turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perdure_operator.api.v1alpha1 import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

__all__ = ["Facet", "find", "instant", "merge", "shorten"]

_MESSAGE_MAX = 1024


@dataclass(frozen=True, slots=True)
class Facet:
    """A condition before it has times: its type, whether it holds, and why."""

    type: str
    holds: bool | None
    """None: unknown."""
    reason: str
    message: str = ""


def merge(
    facets: Iterable[Facet], old: Sequence[Condition], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Make conditions of facets; where the status is the same, with the old transition time."""
    before = {condition.type: condition for condition in old}
    return tuple(_condition(facet, before.get(facet.type), generation, now) for facet in facets)


def _condition(facet: Facet, old: Condition | None, generation: int, now: datetime) -> Condition:
    status: Literal["True", "False", "Unknown"]
    match facet.holds:
        case True:
            status = "True"
        case False:
            status = "False"
        case None:
            status = "Unknown"
    same = old is not None and old.status == status
    return Condition(
        type=facet.type,
        status=status,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if same and old else instant(now),
        reason=facet.reason,
        message=shorten(facet.message, _MESSAGE_MAX),
    )


def find(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """Find a condition by its type."""
    return next((condition for condition in conditions if condition.type == type_), None)


def instant(at: datetime) -> str:
    """Write a time as Kubernetes does, to the second."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def shorten(text: str, characters_max: int) -> str:
    """Shorten a text, visibly."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"
