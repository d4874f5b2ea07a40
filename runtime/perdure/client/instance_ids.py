"""Ids of instances: made up, or given by the caller and checked."""

from __future__ import annotations

import secrets
import time

from perdure.errors import CallerError
from perdure.model.ids import INSTANCE_ID_BYTES_MAX, NAME_BYTES_MAX, InstanceId, fault_of, short

__all__ = [
    "checked_event_name",
    "checked_instance_id",
    "checked_reason",
    "new_instance_id",
    "stored_instance_id",
]

_CHILD_MARK = "::"


def new_instance_id() -> InstanceId:
    """Make up an id: 12 hexadecimal digits of time, 20 of chance.

    Ids that grow with time keep new instances side by side in storage, which is then much
    quicker at writing them than it would be all over an index.
    """
    milliseconds = time.time_ns() // 1_000_000
    return InstanceId(f"{milliseconds:012x}{secrets.token_hex(10)}")


def checked_instance_id(given: str) -> InstanceId:
    """Return an id that a caller chose.

    Raises:
        CallerError: It is empty, too long, is not plain text, or looks like a child's.
    """
    stored_instance_id(given)
    if _CHILD_MARK in given:
        raise CallerError(
            f"Instance id {given!r} has {_CHILD_MARK!r}, which marks the ids of children: "
            "use another separator"
        )
    return InstanceId(given)


def stored_instance_id(given: str) -> InstanceId:
    """Return an id that an instance may have, a child's included.

    Raises:
        CallerError: It is empty, too long, or is not plain text.
    """
    if fault := fault_of(given, INSTANCE_ID_BYTES_MAX):
        raise CallerError(f"Instance id {short(given)} {fault}")
    return InstanceId(given)


def checked_event_name(name: str, what: str = "Event name") -> str:
    """Return the name of an event, or of something else that is named in the same way.

    Raises:
        CallerError: It is empty, too long, or is not plain text.
    """
    if fault := fault_of(name, NAME_BYTES_MAX):
        raise CallerError(f"{what} {short(name)} {fault}")
    return name


def checked_reason(what: str, reason: object) -> str:
    """Return why something is done to an instance.

    Raises:
        CallerError: It is no text, or not one that every storage keeps.
    """
    if not isinstance(reason, str):
        raise CallerError(f"The reason to {what} is {reason!r}; it must be text")
    if "\0" in reason:
        raise CallerError(f"The reason to {what} has a NUL character: leave it out")
    return reason
