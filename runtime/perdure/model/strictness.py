"""How strictly an orchestration is held to what can be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["LENIENT", "STRICT", "WATCHFUL", "OnNondeterminism", "Strictness", "TripwirePolicy"]


class TripwirePolicy(StrEnum):
    """What becomes of a call that a replay cannot repeat."""

    OFF = "off"
    """Nothing is watched; a replay that decides otherwise is still found out."""
    WARN = "warn"
    """It is logged, once for each place in a process."""
    ERROR = "error"
    """It raises `ForbiddenCallError`, which parks the run."""


class OnNondeterminism(StrEnum):
    """What becomes of a run whose code decides otherwise than its history."""

    BLOCK = "block"
    """It is parked, and goes on when the code is mended and the run is resumed."""
    FAIL = "fail"
    """It ends as Failed, and what it left open is cancelled."""


@dataclass(frozen=True, slots=True)
class Strictness:
    """What one execution is held to."""

    tripwire: TripwirePolicy = TripwirePolicy.OFF
    on_nondeterminism: OnNondeterminism = OnNondeterminism.BLOCK
    """Where the definition does not say."""


LENIENT = Strictness()
"""Nothing is watched: for checking code against histories."""
WATCHFUL = Strictness(tripwire=TripwirePolicy.WARN)
"""What processes are told by default."""
STRICT = Strictness(tripwire=TripwirePolicy.ERROR)
"""What tests hold their orchestrations to."""
