"""Objects of Kubernetes as plain JSON, and the way to a field of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Object", "entries_of", "field_of"]

type Object = dict[str, JsonValue]


def field_of(item: Mapping[str, JsonValue] | None, *path: str) -> JsonValue:
    """Follow a path into an object; None where it ends early."""
    value: JsonValue = cast("JsonValue", item)
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def entries_of(item: Mapping[str, JsonValue] | None, *path: str) -> list[Object]:
    """Follow a path to a list of objects; empty where there is none."""
    value = field_of(item, *path)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
