"""In scope: spans and times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from perdure.cli.spans import parse_span, parse_time
from perdure.errors import ConfigurationError

_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("1h30m", 5400), ("2w", 1_209_600), ("0s", 0)],
)
def test_a_span_is_read(text: str, seconds: float) -> None:
    assert parse_span(text, option="--per").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "soon", "1y", "-5s", "1h 30m", "99999999999d"])
def test_what_is_no_span_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--per"):
        parse_span(text, option="--per")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T15:00", datetime(2026, 11, 1, 15, tzinfo=UTC)),
        ("2026-11-01T15:00+01:00", datetime(2026, 11, 1, 15, tzinfo=timezone(timedelta(hours=1)))),
        ("2h", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("30d", datetime(2026, 10, 22, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, at: datetime) -> None:
    assert parse_time(text, option="--since", now=_NOW) == at


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "999999d"])
def test_what_is_no_time_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--since"):
        parse_time(text, option="--since", now=_NOW)
