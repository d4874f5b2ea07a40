"""What a call of an activity may ask for beyond tag, retry policy and time-out."""

from __future__ import annotations

from datetime import timedelta

from perdure.model.values import value

PRIORITY_MIN = -100
PRIORITY_MAX = 100


@value(frozen=True, slots=True)
class ActivityOptions:
    """Rarely given options, kept apart so that the common call stays thin."""

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
