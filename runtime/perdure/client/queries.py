"""Conditions on instances, as keywords: what `list`, `count` and bulk operations share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from perdure.errors import CallerError
from perdure.model.codec import encode
from perdure.model.ids import NAME_BYTES_MAX, InstanceId, JsonText, fault_of, short
from perdure.providers.reading import InstanceStatus, ListInstances

__all__ = ["Where", "aware", "encode_attributes", "listing"]


class Where(TypedDict, total=False):
    """Which instances; all that is given must hold."""

    name: str
    version: str
    statuses: Sequence[InstanceStatus | str]
    """Any of these; names are read whatever their case."""
    prefix: str
    """Of the instance id."""
    parent: str
    """Direct children of this one."""
    roots: bool
    """Only those without a parent."""
    tenant: str
    created_after: datetime
    created_before: datetime
    finished_after: datetime
    finished_before: datetime
    attributes: Mapping[str, object]
    """Those that have all of these, with these values."""


_TEXTS = ("name", "version", "prefix", "parent", "tenant")
_TEXT_BYTES_MAX = 1024


def listing(where: Where, *, limit: int = 100, after: str | None = None) -> ListInstances:
    """Make the question to storage.

    Raises:
        CallerError: a condition or status that there is not, a time without a zone, an attribute
            that cannot be.
    """
    unknown = sorted(where.keys() - Where.__annotations__.keys())
    if unknown:  # it would hold for all instances, and what is done would be done to all
        known = ", ".join(Where.__annotations__)
        raise CallerError(f"There is no condition {unknown[0]!r}; there are: {known}")
    for condition in _TEXTS:
        text = where.get(condition)
        if text and (fault := fault_of(text, _TEXT_BYTES_MAX)):
            raise CallerError(f"No instance has the {condition} {short(text)}: it {fault}")
    parent = where.get("parent")
    attributes = where.get("attributes")
    return ListInstances(
        limit=limit,
        after=after,
        tenant=where.get("tenant"),
        name=where.get("name"),
        version=where.get("version"),
        statuses=[_status(status) for status in where.get("statuses", ())],
        prefix=where.get("prefix"),
        parent=None if parent is None else InstanceId(parent),
        roots=where.get("roots", False),
        created_after=aware("created_after", where.get("created_after")),
        created_before=aware("created_before", where.get("created_before")),
        finished_after=aware("finished_after", where.get("finished_after")),
        finished_before=aware("finished_before", where.get("finished_before")),
        attributes=encode_attributes(attributes) if attributes else None,
    )


def encode_attributes(attributes: Mapping[str, object]) -> JsonText:
    """Write attributes as JSON.

    Raises:
        CallerError: a value is no string, number, boolean or None.
    """
    for name, found in attributes.items():
        if fault := fault_of(name, NAME_BYTES_MAX):
            raise CallerError(f"Attribute {short(name)} cannot be: its name {fault}")
        if isinstance(found, str) and "\0" in found:
            raise CallerError(f"Attribute {name!r} has a NUL character: leave it out")
        if not isinstance(found, str | int | float | bool | None):
            raise CallerError(
                f"Attribute {name!r} is a {type(found).__name__}; it must be a string, a number "
                "or a boolean"
            )
    return encode(dict(attributes), what="attributes")


def _status(status: InstanceStatus | str) -> InstanceStatus:
    for known in InstanceStatus:
        if known.value.lower() == str(status).lower():
            return known
    names = ", ".join(known.value for known in InstanceStatus)
    raise CallerError(f"There is no status {str(status)!r}; one of {names} is")


def aware(what: str, at: datetime | None) -> datetime | None:
    """Return a time that says where it is.

    Raises:
        CallerError: it has no time zone.
    """
    if at is not None and at.tzinfo is None:
        raise CallerError(
            f"{what}={at.isoformat()} has no time zone; give one, as in "
            "datetime(2026, 1, 1, tzinfo=UTC)"
        )
    return at
