"""Names for the ids that cross layers, so that a checker tells them apart."""

from __future__ import annotations

import re
from typing import NewType

InstanceId = NewType("InstanceId", str)
"""One durable identity; at most `INSTANCE_ID_BYTES_MAX` bytes of UTF-8, no control characters."""

OperationId = NewType("OperationId", str)
"""`PATH:N`: the task that called (`0` is the root, `0.2` its third child task) and its N-th call.

Structural, not a global sequence: it survives another wake-up order of tasks.
"""

LeaseToken = NewType("LeaseToken", int)
"""A random signed 64-bit integer made by whoever fetches; proves the lease at commit."""

ExecutorId = NewType("ExecutorId", int)
"""A random signed 64-bit integer, new for every process: whose cache holds a history."""

JsonText = NewType("JsonText", str)
"""A value as JSON text: encoded once where it is made, decoded once where it is read."""

INSTANCE_ID_BYTES_MAX = 253
NAME_BYTES_MAX = 253
TAG_BYTES_MAX = 63
UNTAGGED = ""
"""The tag of an activity that names none."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


_SHOWN_MAX = 80


def fault_of(text: object, bytes_max: int) -> str | None:
    """Say why something can be no id and no name, as a predicate; None if it can.

    Checked where somebody gives one: storage, which cannot hold all of these, meets it only with
    the whole turn or call that it came in.
    """
    if not isinstance(text, str):
        return f"is of type {type(text).__name__}; it needs text"
    if text.isascii() and text.isprintable() and 0 < len(text) <= bytes_max:
        return None
    size = len(text.encode(errors="replace"))
    if not 0 < size <= bytes_max:
        return f"has {size} bytes of UTF-8; it needs 1 to {bytes_max}"
    if _CONTROL.search(text):
        return "has a control character; leave it out"
    if _SURROGATE.search(text):
        return "has half of a surrogate pair, which is not text; decode its source again"
    return None


def short(text: object) -> str:
    """Show what was given for an id or a name, cut if it is long."""
    return repr(text[:_SHOWN_MAX] if isinstance(text, str) else text)


def child_instance_id(parent: InstanceId, execution: int, operation: OperationId) -> InstanceId:
    """Derive a child's id, so that a turn that runs twice starts one child.

    Deep trees shorten themselves: an id over the limit ends in a digest of the whole.
    """
    plain = f"{parent}::{execution}/{operation}"
    if len(plain.encode()) <= INSTANCE_ID_BYTES_MAX:
        return InstanceId(plain)
    import hashlib  # noqa: PLC0415  only for ids too long to be read anyway

    digest = hashlib.sha256(plain.encode()).hexdigest()[:32]
    head = parent.encode()[: INSTANCE_ID_BYTES_MAX - 40].decode(errors="ignore")
    return InstanceId(f"{head}::#{digest}")
