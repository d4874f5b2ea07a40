"""Ids of instances: made up, or given by the caller and checked."""

from __future__ import annotations

import re
import secrets
import time

from perdure.errors import CallerError
from perdure.model.ids import INSTANCE_ID_BYTES_MAX, InstanceId

__all__ = ["checked_instance_id", "new_instance_id"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
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
        CallerError: It is empty, too long, has control characters, or looks like a child's.
    """
    size = len(given.encode(errors="replace"))
    if not given or size > INSTANCE_ID_BYTES_MAX:
        raise CallerError(
            f"Instance id {given[:40]!r} has {size} bytes of UTF-8; "
            f"it needs 1 to {INSTANCE_ID_BYTES_MAX}"
        )
    if _CONTROL.search(given):
        raise CallerError(f"Instance id {given!r} has a control character; leave it out")
    if _CHILD_MARK in given:
        raise CallerError(
            f"Instance id {given!r} has {_CHILD_MARK!r}, which marks the ids of children: "
            "use another separator"
        )
    return InstanceId(given)
