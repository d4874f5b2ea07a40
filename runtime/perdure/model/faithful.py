"""Does a value come back as what it was? Asked where it is made, not where it is read.

A converter keeps what its type declares, and that may be less than the value holds. A subclass
loses its own fields, a NaN in a model becomes null, a secret becomes asterisks, a date in
`str | date` comes back as text, one of two alike dataclasses as the other. None of that is an error
to the converter. So what was written is read again and compared, part by part.

Most values need no such proof: of texts, numbers, and lists and dictionaries of those, the
converter loses nothing. The schema of a type tells whether it is made of these alone.

What may differ: an integer where a float is declared, a tuple where any sequence is, a subclass of
`str`, and whatever a model is told to leave out. Where a type says `Any`, JSON is all that was
promised: there a value may come back as the JSON that it was written as.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, TypeGuard

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

__all__ = [
    "difference",
    "has_aliases",
    "has_sets",
    "holds_lost_number",
    "promises_only_json",
    "put_in_order",
    "says_all",
]

_PLAIN = frozenset({"str", "int", "bool", "none", "float", "bytes", "any", "nullable"})
_TOLD_APART: list[Any] = [{"type": kind} for kind in ("str", "int", "float", "bool", "none")]
_NESTING = frozenset({"list", "set", "frozenset", "tuple", "dict"})
_KEYS = frozenset({"str", "int", "any"})
_HARMLESS = frozenset(
    {"type", "schema", "items_schema", "keys_schema", "values_schema", "variadic_item_index"}
)
"""What a node of a schema may have and still accept, and keep, every value of its type."""


def says_all(schema: Any) -> bool:
    """Tell by a type's schema that nothing it accepts can change on the way."""
    if _is_row(schema):
        return all(map(says_all, schema))
    if not _is_mapping(schema):
        return True
    kind = schema.get("type")
    if kind == "union":  # of what JSON itself tells apart
        return all(choice in _TOLD_APART for choice in schema.get("choices", ()))
    known = kind in _PLAIN or kind in _NESTING
    if not known or not {key for key in schema if key != "metadata"} <= _HARMLESS:
        return False
    keys = schema.get("keys_schema", {"type": "any"})
    parts = (value for key, value in schema.items() if key.endswith("schema"))
    return keys.get("type") in _KEYS and all(map(says_all, parts))


def promises_only_json(schema: Any) -> bool:
    """Tell by a type's schema that it says `Any` somewhere, or a sequence of whatever kind."""
    return any(
        node.get("type") == "any" or node.get("cls_repr") == "Sequence" for node in _nodes(schema)
    )


def has_aliases(schema: Any) -> bool:
    """Tell by a type's schema that a model in it reads a field by another name."""
    return any("validation_alias" in node for node in _nodes(schema))


def has_sets(schema: Any) -> bool:
    """Tell by a type's schema that there are sets in it."""
    return any(node.get("type") in ("set", "frozenset") for node in _nodes(schema))


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    if _is_mapping(schema):
        yield schema
        for part in schema.values():
            yield from _nodes(part)
    elif _is_row(schema):
        for part in schema:
            yield from _nodes(part)


def _is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_row(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_set(value: Any) -> TypeGuard[AbstractSet[Any]]:
    return isinstance(value, AbstractSet)


# -------------------------------------------------------------------------- comparing


def difference(was: Any, found: Any, *, only_json: bool, place: str = "") -> str | None:
    """Say where and how what was read differs from what was written; None: nowhere."""
    if type(was) is type(found) and _equal(was, found):
        return None
    parts = _parts(was, found)
    if parts is None:
        if _same(was, found) or (only_json and _same_json(was, found)):
            return None
        return f"{place or 'it'} is {_show(was)} and would read as {_show(found)}"
    for name, one, other in parts:
        told = difference(one, other, only_json=only_json, place=f"{place}{name}")
        if told is not None:
            return told
    return None


def _equal(was: Any, found: Any) -> bool:
    """Compare as the values do; some cannot, or answer with more than yes or no."""
    try:
        return was is found or bool(was == found)
    except Exception:  # noqa: BLE001  user code
        return False


type _Parts = list[tuple[str, Any, Any]]
_MISSING = object()


def _parts(was: Any, found: Any) -> _Parts | None:
    """Pair the parts of two values of one kind; None: they have none, or are of two kinds."""
    if isinstance(found, BaseModel):
        return _fields(was, found, _kept(found)) if _is_one(was, found) else None
    if dataclasses.is_dataclass(found):
        names = [field.name for field in dataclasses.fields(found)]
        return _fields(was, found, names) if _is_at_least(found, was) else None
    if _is_mapping(was) and _is_mapping(found):
        return _items(was, found)
    if _is_row(was) and _is_row(found):
        return _elements(was, found)
    return None


def _is_at_least(found: Any, was: Any) -> bool:
    return isinstance(found, type(was))


def _is_one(was: Any, found: BaseModel) -> bool:
    """Tell whether two models are of one class; a generic one may have its parameters or not."""
    if isinstance(found, type(was)):
        return True
    metadata: Any = getattr(was, "__pydantic_generic_metadata__", None) or {}
    return metadata.get("origin") is type(found)


def _kept(model: BaseModel) -> list[str]:
    """Name the fields that a model is not told to leave out."""
    fields = type(model).model_fields
    return [*(n for n, f in fields.items() if not f.exclude), *(model.model_extra or {})]


def _fields(was: Any, found: Any, names: list[str]) -> _Parts:
    return [
        (f".{name}", getattr(was, name, _MISSING), getattr(found, name, _MISSING)) for name in names
    ]


def _elements(was: Any, found: Any) -> _Parts | None:
    """Pair the elements of two of one kind."""
    if len(was) != len(found) or not _is_at_least(was, found):
        return None
    return [(f"[{n}]", one, other) for n, (one, other) in enumerate(zip(was, found, strict=True))]


def _items(was: Mapping[Any, Any], found: Mapping[Any, Any]) -> _Parts | None:
    if len(was) != len(found) or any(key not in found for key in was):
        return None
    return [(f"[{key!r}]", value, found[key]) for key, value in was.items()]


def _same(was: Any, found: Any) -> bool:
    """Compare what has no parts."""
    numbers = type(found) is float and type(was) is int
    if numbers or (_is_set(found) and _is_set(was)):
        return _equal(was, found)
    if not _is_at_least(was, found) and not _is_at_least(found, was):
        return False
    kind: Any = type(was)  # pyright: ignore[reportUnknownVariableType]  of anything
    equal: Any = getattr(kind, "__eq__", None)
    # What does not say when it is equal cannot be told from its copy.
    return equal is object.__eq__ or _equal(was, found)


def _same_json(was: Any, found: Any) -> bool:
    try:
        ours = to_json(was, bytes_mode="base64", inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError):
        return False
    return ours == to_json(found, bytes_mode="base64", inf_nan_mode="constants")


def _show(value: Any) -> str:
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004  of one line
    return f"{text} ({type(value).__name__})"


# ------------------------------------------------------------------------------ order


def put_in_order(value: Any, written: Any) -> None:
    """Sort, within what will be JSON, the lists that were sets.

    A set of texts is walked in another order in every process, and what a call was given must be
    the same on every replay.

    Args:
        value: As Python has it, models and dataclasses taken apart.
        written: The same as JSON has it; changed in place.
    """
    if _is_set(value):
        for number, one in enumerate(value):
            put_in_order(one, written[number])
        written.sort(key=to_json)
    elif _is_mapping(value) and _is_mapping(written):
        for one, other in zip(value.values(), written.values(), strict=True):
            put_in_order(one, other)
    elif _is_row(value) and _is_row(written):
        for number, one in enumerate(value):
            put_in_order(one, written[number])


# ---------------------------------------------------------------------- lost numbers


def holds_lost_number(value: Any, depth: int = 0) -> bool:
    """Tell whether a NaN or an infinite number is anywhere: a model writes one as null."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if depth > 200 or isinstance(value, str | bytes | int | Enum):  # noqa: PLR2004  as deep as JSON
        return False
    if isinstance(value, BaseModel):
        parts: list[Any] = [*vars(value).values(), *(value.model_extra or {}).values()]
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    elif _is_mapping(value):
        parts = list(value.values())
    elif _is_row(value) or _is_set(value):
        parts = list(value)
    else:
        return False
    return any(holds_lost_number(part, depth + 1) for part in parts)
