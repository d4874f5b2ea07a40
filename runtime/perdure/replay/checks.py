"""What can be neither stored nor meant is refused where it is written.

Storage would meet it too, but only with the whole turn that it came in.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from perdure.errors import DefinitionError
from perdure.model.codec import encode
from perdure.model.ids import (
    INSTANCE_ID_BYTES_MAX,
    NAME_BYTES_MAX,
    TAG_BYTES_MAX,
    UNTAGGED,
    InstanceId,
    JsonText,
    fault_of,
    short,
)
from perdure.model.options import PRIORITY_MAX, PRIORITY_MIN, ActivityOptions, StartOptions
from perdure.model.policy import SPAN_MAX, Retry
from perdure.model.records import ParentClose
from perdure.model.strictness import OnNondeterminism

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "checked_activity_options",
    "checked_attributes",
    "checked_instance",
    "checked_label",
    "checked_name",
    "checked_policy",
    "checked_priority",
    "checked_retry",
    "checked_start_options",
    "checked_tag",
    "checked_timeout",
]

_NONE_GIVEN = ActivityOptions()


def checked_name(kind: str, name: str) -> str:
    """Refuse a name that cannot be stored or shown."""
    if fault := fault_of(name, NAME_BYTES_MAX):
        msg = f"{kind} name {short(name)} cannot be: it {fault}"
        raise DefinitionError(msg)
    return name


def checked_instance(owner: str, instance_id: str | None) -> InstanceId | None:
    """Refuse an id that no instance can have."""
    if instance_id is None:
        return None
    if fault := fault_of(instance_id, INSTANCE_ID_BYTES_MAX):
        msg = f"{owner}: instance id {short(instance_id)} cannot be: it {fault}"
        raise DefinitionError(msg)
    return InstanceId(instance_id)


def checked_tag(owner: str, tag: str) -> str:
    """Refuse a tag that cannot be stored, or named in a list of tags."""
    fault = fault_of(tag, TAG_BYTES_MAX) if tag != UNTAGGED else None
    if "," in tag:
        fault = "has a comma, which separates tags"
    if fault:
        msg = f"{owner}: tag {short(tag)} cannot be: it {fault}"
        raise DefinitionError(msg)
    return tag


def checked_priority(owner: str, priority: object) -> int | None:
    """Refuse a priority out of range."""
    if priority is None:
        return None
    if not isinstance(priority, int) or not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        msg = (
            f"{owner}: priority is {priority!r}; it must be a whole number, {PRIORITY_MIN} to "
            f"{PRIORITY_MAX}"
        )
        raise DefinitionError(msg)
    return priority


def checked_retry(owner: str, retry: object) -> Retry | None:
    """Refuse what is no policy."""
    if retry is not None and not isinstance(retry, Retry):
        msg = f"{owner}: retry is {retry!r}; expected a policy, such as Retry(max_attempts=5)"
        raise DefinitionError(msg)
    return retry


def checked_label(owner: str, what: str, text: str | None) -> str | None:
    """Refuse a session or a limit's key that cannot be stored."""
    if text is not None and (fault := fault_of(text, NAME_BYTES_MAX)):
        msg = f"{owner}: {what} {short(text)} cannot be: it {fault}"
        raise DefinitionError(msg)
    return text


def checked_activity_options(
    owner: str,
    *,
    session: str | None,
    limit: str | None,
    queue_timeout: timedelta | float | None,
    heartbeat_timeout: timedelta | float | None,
) -> ActivityOptions | None:
    """Make the rarely given options of a call; None: all at their defaults."""
    found = ActivityOptions(
        session=checked_label(owner, "session", session),
        limit=checked_label(owner, "limit", limit),
        queue_timeout=checked_timeout(owner, queue_timeout, "queue_timeout"),
        heartbeat_timeout=checked_timeout(owner, heartbeat_timeout, "heartbeat_timeout"),
    )
    return None if found == _NONE_GIVEN else found


def checked_start_options(
    owner: str,
    *,
    parent_close: str,
    limit: str | None,
    timeout: timedelta | float | None,
    attributes: JsonText | None,
) -> StartOptions:
    """Make the rarely given options of a start."""
    if parent_close not in list(ParentClose):
        known = ", ".join(repr(each.value) for each in ParentClose)
        msg = f"{owner}: parent_close is {parent_close!r}; it can be {known}"
        raise DefinitionError(msg)
    return StartOptions(
        parent_close=ParentClose(parent_close),
        limit=checked_label(owner, "limit", limit),
        timeout=checked_timeout(owner, timeout),
        attributes=attributes,
    )


def checked_attributes(owner: str, attributes: Mapping[str, object]) -> JsonText | None:
    """Encode what an instance is found by; None for nothing.

    Raises:
        DefinitionError: a name cannot be, or a value is neither a string, a number nor a boolean.
    """
    for name, value in attributes.items():
        if fault := fault_of(name, NAME_BYTES_MAX):
            msg = f"{owner}: attribute {short(name)} cannot be: it {fault}"
            raise DefinitionError(msg)
        if isinstance(value, str) and "\0" in value:
            msg = f"{owner}: attribute {name!r} has a NUL character, which is not stored"
            raise DefinitionError(msg)
        if not isinstance(value, str | int | float | None):
            msg = (
                f"{owner}: attribute {name!r} is a {type(value).__name__}; it can be a string, a "
                "number or a boolean"
            )
            raise DefinitionError(msg)
    return encode(dict(attributes), what=f"the attributes of {owner}") if attributes else None


def checked_timeout(
    owner: str, timeout: timedelta | float | None, what: str = "timeout"
) -> timedelta | None:
    """Refuse a time to be given that is none."""
    if timeout is None:
        return None
    try:
        found = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
    except TypeError:
        msg = f"{owner}: {what} is {timeout!r}; expected a number of seconds or a timedelta"
        raise DefinitionError(msg) from None
    except (OverflowError, ValueError):  # infinite, not a number, or longer than history
        msg = f"{owner}: {what} is {timeout} s, which is no time; for no end, set none"
        raise DefinitionError(msg) from None
    if found > SPAN_MAX:
        msg = (
            f"{owner}: {what} is {found.days:,} days; at most {SPAN_MAX.days:,}, or for no end none"
        )
        raise DefinitionError(msg)
    if found <= timedelta(0):
        msg = f"{owner}: {what} is {found.total_seconds()} s; it must be more than 0"
        raise DefinitionError(msg)
    return found


def checked_policy(owner: str, policy: str | None) -> OnNondeterminism | None:
    """Refuse what is no policy for a run that cannot go on."""
    if policy is None:
        return None
    try:
        return OnNondeterminism(policy)
    except ValueError:
        msg = f"{owner}: on_nondeterminism is {policy!r}; expected 'block' or 'fail'"
        raise DefinitionError(msg) from None
