"""Conditions on instances: names read kindly, what cannot be is refused by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from perdure.client.queries import encode_attributes, listing
from perdure.errors import CallerError
from perdure.providers.reading import InstanceStatus


def test_statuses_are_read_whatever_their_case() -> None:
    query = listing({"statuses": ["running", InstanceStatus.FAILED, "TIMEDOUT"]})
    assert query.statuses == [
        InstanceStatus.RUNNING,
        InstanceStatus.FAILED,
        InstanceStatus.TIMED_OUT,
    ]


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"statuses": ["Done"]}, "There is no status 'Done'; one of Pending, Running"),
        ({"created_after": datetime(2026, 1, 1)}, "created_after=2026-01-01.* no time zone"),  # noqa: DTZ001  as a caller forgets it
        ({"attributes": {"tags": ["a"]}}, "Attribute 'tags' is a list"),
    ],
)
def test_what_cannot_be_is_refused(where: Any, named: str) -> None:
    with pytest.raises(CallerError, match=named):
        listing(where)


def test_attributes_are_json() -> None:
    assert encode_attributes({"a": 1, "b": "x", "c": True, "d": None}) == (
        '{"a":1,"b":"x","c":true,"d":null}'
    )
