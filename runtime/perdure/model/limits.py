"""How much one execution may use.

Two sorts. What one call may ask for (sizes, numbers of keys) is refused at the call, by an error
that names it; the refusal is recorded, so that a limit that is set otherwise later changes no
recorded decision. What a run as a whole may come to (records, wake-ups, operations of one turn)
parks it as Blocked: nothing is lost, and it goes on when the limit is raised.

All are judged when something is decided for the first time, never on replay.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from perdure.model.codec import PAYLOAD_BYTES_MAX

__all__ = ["DEFAULT_LIMITS", "HISTORY_WARNINGS", "Limits"]

HISTORY_WARNINGS = (0.5, 0.8)
"""Fractions of `Limits.history_records` at which a run is warned of."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use."""

    callbacks_per_turn: int = 1_000_000
    """Wake-ups of tasks in one turn, beyond which it spins (`SpinningTurnError`)."""
    history_records: int = 50_000
    """Records of one execution (`HistoryLimitError`)."""
    actions_per_turn: int = 100_000
    """What one turn may ask for (`SpinningTurnError`)."""
    carried_events: int = 50_000
    """Unread events that a continue-as-new takes along (`HistoryLimitError`)."""
    payload_bytes: int = PAYLOAD_BYTES_MAX
    """Arguments of one call, or the result of one step, as JSON; at most the default."""
    custom_status_bytes: int = 256 * 1024
    """The custom status as JSON."""
    attribute_bytes: int = 8 * 1024
    """All attributes together, as JSON."""
    keys: int = 150
    """Entries of the key-value map."""
    value_bytes: int = 64 * 1024
    """A value of the key-value map, as JSON."""
    keys_total_bytes: int = 1024 * 1024
    """Keys and values of the map together."""

    def __post_init__(self) -> None:
        """Refuse limits that leave no room at all, or more than can be stored."""
        for field in fields(self):
            found = getattr(self, field.name)
            if not isinstance(found, int):
                msg = f"Limits.{field.name} is {found!r}; it must be a whole number"
                raise TypeError(msg)
            if found < 1:
                msg = f"Limits.{field.name} is {found}; it must be at least 1"
                raise ValueError(msg)
        if self.payload_bytes > PAYLOAD_BYTES_MAX:
            msg = (
                f"Limits.payload_bytes is {self.payload_bytes:,}; it can be at most "
                f"{PAYLOAD_BYTES_MAX:,}"
            )
            raise ValueError(msg)


DEFAULT_LIMITS = Limits()
