"""Spans and points of time, as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from perdure.errors import ConfigurationError

__all__ = ["parse_span", "parse_time"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+|\d+(?:\.\d+)?")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")


def parse_span(text: str, *, option: str) -> timedelta:
    """Read a span: seconds, or numbers with units.

    >>> [str(parse_span(text, option="--timeout")) for text in ("90", "1h30m", "30d")]
    ['0:01:30', '1:30:00', '30 days, 0:00:00']

    Raises:
        ConfigurationError: It is none, or longer than can be.
    """
    if not _SPAN.fullmatch(text):
        raise ConfigurationError(
            f"{option} {text!r} is no span: write seconds, or units as in 90s, 1h30m, 30d, 2w"
        )
    try:
        parts = [
            timedelta(**{_UNITS[unit or "s"]: float(number)})
            for number, unit in _PART.findall(text)
        ]
        return sum(parts, timedelta())
    except OverflowError as error:
        raise ConfigurationError(f"{option} {text!r} is longer than can be") from error


def parse_time(text: str, *, option: str, now: datetime | None = None) -> datetime:
    """Read a point of time: a date, a date and time (UTC unless it says otherwise), or a span ago.

    Raises:
        ConfigurationError: It is none of these.
    """
    if _SPAN.fullmatch(text) and not text.isdigit():
        try:
            return (now or datetime.now(UTC)) - parse_span(text, option=option)
        except OverflowError as error:
            raise ConfigurationError(f"{option} {text!r} is longer ago than can be") from error
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{option} {text!r} is no time: write a date (2026-11-21), a date and time "
            "(2026-11-21T15:00, in UTC; 2026-11-21T15:00+01:00), or how long ago (2h, 30d)"
        ) from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
