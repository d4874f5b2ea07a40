"""What may become of an attempt."""

from __future__ import annotations

from enum import Enum, auto

from perdure.providers.work import ActivityEnd

__all__ = ["Decision", "Verdict"]


class Verdict(Enum):
    """What is decided without a result that is still to be handed in."""

    LOST = auto()
    """Storage is told nothing."""
    HAND_BACK = auto()
    """Another executor is to try, and this attempt does not count."""
    TRY_AGAIN = auto()
    """Likewise, but it counts as lost: what takes its server along every time is poison."""
    FINISHED = auto()
    """Storage has it already: the body and its result were one transaction."""


type Decision = ActivityEnd | Verdict
