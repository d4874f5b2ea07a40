"""What a call may ask for beyond the usual: rarely given, and kept apart for it."""

from __future__ import annotations

from datetime import timedelta

from perdure.model.ids import JsonText
from perdure.model.records import ParentClose
from perdure.model.values import value

PRIORITY_MIN = -100
PRIORITY_MAX = 100


@value(frozen=True, slots=True)
class ActivityOptions:
    """Of a call of an activity, beyond tag, retry policy and time for one attempt."""

    session: str | None = None
    """Activities of one session go to one executor, while it lives and the session is in use."""
    priority: int = 0
    """Among those due of one tag the greater goes first; `PRIORITY_MIN` to `PRIORITY_MAX`."""
    limit: str | None = None
    """Counts against the limit of this key (`Limit`), if one is set."""
    queue_timeout: timedelta | None = None
    """Fails if no executor has started the first attempt within this time of scheduling."""
    heartbeat_timeout: timedelta | None = None
    """An attempt that does not tell of its progress for this long has timed out."""


@value(frozen=True, slots=True)
class StartOptions:
    """Of a start of another instance, beyond its id and version."""

    parent_close: ParentClose = ParentClose.CANCEL
    """Of a child: what becomes of it when its parent's execution ends."""
    priority: int = 0
    """Of its activities and children, unless they say otherwise."""
    limit: str | None = None
    """Its first turn waits until the limit of this key admits it."""
    timeout: timedelta | None = None
    """Of the whole run, over all its executions, from its recorded start."""
    attributes: JsonText | None = None
    """What it is found by: a JSON object of strings, numbers and booleans."""
