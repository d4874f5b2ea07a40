"""Events as documents, table rows and lines.

A completion names only the operation that it completes; what a reader wants is the activity's name.
So `EventLines` remembers the names of operations as it goes through a history.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import cast

from rich.text import Text

from perdure.cli.describe import duration, failure_document, failure_line, value_of
from perdure.cli.output import plain
from perdure.model.events import Event
from perdure.model.failure import Failure
from perdure.model.ids import JsonText
from perdure.model.options import ActivityOptions, StartOptions

__all__ = ["EVENT_COLUMNS", "EventLines", "event_document"]

EVENT_COLUMNS = ("EVENT", "SINCE START", "KIND", "OPERATION", "NAME", "DETAIL")

_HEAD = {"event_id", "execution", "at", "seq"}
_JSON_FIELDS = {"input", "result", "data", "output", "value", "values"}
_NAMES = ("name", "queue", "key", "update", "patch", "call")
"""What an event is about, under whichever word."""
# Shown first, in this order; what is not listed is for `-o json`.
_DETAIL_FIELDS = (
    *("failure", "input", "result", "data", "output", "value", "values", "message"),
    *("delay", "instance", "reason", "unread", "unread_queued"),
)
_LINE_WIDTH = 100
_STYLES = (
    ("Failed", "bold red"),
    ("Completed", "green"),
    ("Fired", "green"),
    ("Raised", "green"),
    ("Cancel", "magenta"),
    ("Terminated", "magenta"),
)


def event_document(event: Event) -> dict[str, object]:
    """Write an event as the document that `-o json` and `-o yaml` print."""
    document: dict[str, object] = {
        "event": event.event_id,
        "execution": event.execution,
        "at": event.at.isoformat(),
        "kind": event.kind,
    }
    for name, value in _fields(event).items():
        document[_camel(name)] = _document_value(name, value)
    return document


class EventLines:
    """Turns the events of one instance, in their order, into rows and lines."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], str] = {}

    def row(self, event: Event, start: datetime, *, width: int | None) -> list[str | Text]:
        """Write an event as a row under `EVENT_COLUMNS`."""
        operation, name, detail = self._parts(event)
        return [
            f"{event.execution}.{event.event_id}",
            duration(event.at - start),
            Text(event.kind, style=_style(event.kind)),
            operation,
            name,
            plain(detail, width=width),
        ]

    def text(self, event: Event) -> Text:
        """Write an event as a line."""
        operation, name, detail = self._parts(event)
        line = Text(event.kind, style=_style(event.kind))
        if name:
            line += Text(f" {plain(name)}")
        if operation:
            line += Text(f"  {operation}", style="dim")
        if detail:
            line += Text(f"  {plain(detail, width=_LINE_WIDTH)}", style="dim")
        return line

    def _parts(self, event: Event) -> tuple[str, str, str]:
        fields = _fields(event)
        operation = str(fields.get("operation", ""))
        name = str(next((fields[each] for each in _NAMES if each in fields), ""))
        key = (event.execution, operation)
        if name and operation:
            self._names[key] = name
        name = name or self._names.get(key, "")
        said = (_said(field, fields[field]) for field in _DETAIL_FIELDS if field in fields)
        return operation, name, "  ".join(part for part in said if part)


def _fields(event: Event) -> dict[str, object]:
    names = (field.name for field in dataclasses.fields(event))
    return {name: getattr(event, name) for name in names if name not in _HEAD}


def _said(name: str, value: object) -> str:
    match value:
        case Failure():
            return failure_line(value)
        case timedelta():
            return duration(value)
        case tuple():
            unread, what = cast("tuple[str, ...]", value), name.replace("_", " ")
            return f"{what}: {', '.join(unread)}" if unread else ""
        case str() if name in _JSON_FIELDS:
            return "" if value in {"{}", "null"} else value
        case None:
            return ""
        case _:
            return str(value)


def _document_value(name: str, value: object) -> object:
    match value:
        case Failure():
            return failure_document(value)
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case ActivityOptions() | StartOptions():
            return _given(value)
        case str() if name in _JSON_FIELDS:
            return value_of(JsonText(value))
        case _:
            return value


def _given(options: ActivityOptions | StartOptions) -> dict[str, object]:
    """Write the options that are not at their defaults."""
    usual: ActivityOptions | StartOptions = type(options)()
    names = [field.name for field in dataclasses.fields(options)]
    return {
        _camel(name): _document_value("value" if name == "attributes" else name, value)
        for name in names
        if (value := getattr(options, name)) != getattr(usual, name)
    }


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _style(kind: str) -> str:
    return next((style for word, style in _STYLES if word in kind), "")
