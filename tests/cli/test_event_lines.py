"""What a reader of a history is shown of each kind of event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.cli.events import EventLines, event_document
from perdure.model import events as e
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.records import ParentClose

AT = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = (1, 1, AT, 1)
OPERATION = OperationId("0:1")
NULL = JsonText("null")


def document(event: e.Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(event_document(event)))
    return found


def test_options_are_shown_as_far_as_they_were_given() -> None:
    options = ActivityOptions("s", 2, queue_timeout=timedelta(seconds=5))
    scheduled = e.ActivityScheduled(*PLACE, OPERATION, "work", NULL, "", "a.py:1", options)
    assert document(scheduled)["options"] == {"session": "s", "priority": 2, "queueTimeout": 5.0}
    start = StartOptions(ParentClose.ABANDON, attributes=JsonText('{"team":"a"}'))
    child = e.SubOrchestrationScheduled(
        *PLACE, OPERATION, "child", None, InstanceId("i"), NULL, "a.py:1", start
    )
    assert document(child)["options"] == {"parentClose": "abandon", "attributes": {"team": "a"}}


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (e.KeyValueSet(*PLACE, OPERATION, "k", JsonText("7"), ""), "KeyValueSet k  0:1  7"),
        (e.EventQueued(*PLACE, "inbox", JsonText("1")), "EventQueued inbox  1"),
        (e.UpdateAnswered(*PLACE, "u1", JsonText("3"), None), "UpdateAnswered u1  3"),
        (
            e.AttributesUpdated(*PLACE, OPERATION, JsonText('{"a":1}'), ""),
            'AttributesUpdated  0:1  {"a":1}',
        ),
        (
            e.CallRefused(*PLACE, OPERATION, "key", "too many", ""),
            "CallRefused key  0:1  too many",
        ),
        (
            e.OrchestrationCompleted(*PLACE, JsonText("1"), ("go",), ("q", "q")),
            "OrchestrationCompleted  1  unread: go  unread queued: q, q",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, e.Event) else "",
)
def test_lines(event: e.Event, line: str) -> None:
    assert EventLines().text(event).plain == line
    assert document(event)["kind"] == event.kind
