"""Values to JSON text and back, by the types that user code declared.

A value is encoded once, where it is made, and decoded once, where it is read; in between it is
text that nobody looks into. Types decide both ways: a dataclass, pydantic model, `TypedDict`,
`NamedTuple`, enum, union, generic, date, `Decimal`, `UUID` or `bytes` (base64) comes back as what
it was. Nothing is ever pickled, and nothing is silently changed: a value that does not fit its
declared type, a NaN, a lone surrogate or a payload over the limit is a `PayloadError` where it is
made, not a surprise where it is read: see `perdure.model.faithful`.

Building the converter of a type costs milliseconds, using it less than a microsecond: so they are
kept, one per type, for as long as the process lives.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from types import GenericAlias
from typing import TYPE_CHECKING, Any, cast

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from perdure.errors import PayloadError
from perdure.model.failure import Failure, FailureCategory
from perdure.model.faithful import (
    difference,
    has_aliases,
    has_sets,
    holds_lost_number,
    promises_only_json,
    put_in_order,
    says_all,
)
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import (
    CarriedEvent,
    CarriedUpdate,
    KeyValue,
    ParentLink,
    StartedBody,
    UpdateBody,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "PAYLOAD_BYTES_MAX",
    "decode",
    "decode_failure",
    "decode_object",
    "decode_started",
    "decode_update",
    "encode",
    "encode_failure",
    "encode_started",
    "encode_update",
    "json_string",
    "raw_json",
    "storable",
]

PAYLOAD_BYTES_MAX = 2 * 1024 * 1024
"""Largest encoded value: the arguments of one call together, one result, one event's data."""

JSON_CONFIG = ConfigDict(
    ser_json_bytes="base64",
    val_json_bytes="base64",
    ser_json_inf_nan="constants",  # so that they show, and can be refused
    arbitrary_types_allowed=False,
)

_DEPTH_MAX = 180
"""Levels of lists and objects in a value; the reader takes 201, and records take some."""
_RECORDS_BEFORE, _RECORDS_AFTER = b"[" * 21, b"]" * 21
_DIGITS_MAX = 4_300
"""Digits of an integer, by Python and by the reader alike."""
_DIGIT = re.compile(rb"[0-9]")
_UNSUSPICIOUS_BYTES = _DEPTH_MAX
"""Shorter data can be neither too deep nor too long a number."""

_LOST_NUMBER = "holds a NaN or an infinite number, which JSON cannot carry; use None"
_UNTYPED: Any = object()
EXACT: frozenset[Any] = frozenset({str, int, bool})
"""Types whose values, if of exactly that type, need no converter: a microsecond saved each."""


def alone(as_type: Any) -> Any:
    """Return the type of a tuple that holds one of these."""
    return GenericAlias(tuple, (as_type,))


def reader(adapter: TypeAdapter[Any]) -> Callable[[str], Any]:
    """Return what reads a type's JSON.

    Models are written by the names of their fields. So where one has aliases, both are read.
    """
    read = adapter.validator.validate_json
    if has_aliases(adapter.core_schema):
        return partial(read, by_alias=True, by_name=True)
    return read


class _Adapter:
    """Both directions for one type.

    pydantic refuses a configuration for a type that could carry its own, although a plain
    dataclass does not; such a type travels inside a one-tuple, whose brackets are cut off.
    """

    __slots__ = (
        "_delicate",
        "_has_sets",
        "_only_json",
        "_serialize",
        "_to_python",
        "_validate",
        "_wrapped",
    )

    def __init__(self, as_type: Any) -> None:
        self._wrapped = False
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(as_type, config=JSON_CONFIG)
        except PydanticUserError as error:
            if error.code != "type-adapter-config-unused":
                raise
            adapter = TypeAdapter(alone(as_type), config=JSON_CONFIG)
            self._wrapped = True
        # The adapter's own methods of these names pass a dozen defaults on: twice the time.
        self._serialize = adapter.serializer.to_json
        self._validate = reader(adapter)
        self._to_python = adapter.serializer.to_python
        self._has_sets = has_sets(adapter.core_schema)
        self._delicate = not says_all(adapter.core_schema)
        self._only_json = promises_only_json(adapter.core_schema)

    def dump(self, value: object) -> bytes:
        if self._has_sets:
            return self._dump_in_order(value)
        if self._wrapped:
            return self._serialize((value,), warnings="error")[1:-1]
        return self._serialize(value, warnings="error")

    def _dump_in_order(self, value: object) -> bytes:
        """Write sets in the same order in every process; those of models cannot be told."""
        wrapped = (value,) if self._wrapped else value
        written: Any = self._to_python(wrapped, mode="json", warnings="error")
        with suppress(TypeError):  # a set of models, which taken apart cannot be in one
            put_in_order(self._to_python(wrapped, warnings=False), written)
        data = to_json(written, inf_nan_mode="constants")
        return data[1:-1] if self._wrapped else data

    def load(self, text: str) -> Any:
        if self._wrapped:
            return self._validate(f"[{text}]")[0]
        return self._validate(text)

    @property
    def is_plain(self) -> bool:
        """Whether it is written as it stands, and there is nothing that `fault` could find."""
        return not (self._delicate or self._only_json or self._has_sets)

    def fault(self, value: object, text: str) -> str | None:
        """Say how the value would not come back as it was; None: it would.

        What is written as it stands is read back only if it may hold a None: pydantic writes that
        for a value of any type, and reads it only where the type allows it.
        """
        told: str | None = None
        if self._delicate or "null" in text:
            try:
                found = self.load(text)
            except ValidationError as error:
                told = f"could not be read back: {first_problem(error)}"
            else:
                if self._delicate:
                    differing = difference(value, found, only_json=self._only_json)
                    told = differing and f"would not come back as it was: {differing}"
        if told is None and not self._only_json:
            return None
        return _LOST_NUMBER if "null" in text and holds_lost_number(value) else told


_adapters: dict[Any, _Adapter] = {}
_PLAIN: tuple[Any, ...] = (Any, object)


def _adapter(as_type: Any) -> _Adapter:
    """Find or build the converter of one type."""
    try:
        found = _adapters.get(as_type)
    except TypeError:  # an unhashable Annotated[...]: built each time, which is rare
        return _build(as_type)
    if found is None:
        found = _adapters[as_type] = _build(as_type)
    return found


def _build(as_type: Any) -> _Adapter:
    try:
        return _Adapter(as_type)
    except Exception as error:
        msg = (
            f"values of type {type_name(as_type)} have no JSON form: {first_line(error)}; "
            "use a dataclass, a pydantic model, a TypedDict or a built-in type"
        )
        raise PayloadError(msg) from error


def is_kept(as_type: Any) -> bool:
    """Tell whether every value of a type comes back as it was, by the type alone."""
    return as_type in EXACT or _adapter(as_type).is_plain


def prepare(as_type: Any) -> None:
    """Build the converter of a type ahead of its first use.

    Raises:
        PayloadError: values of that type have no JSON form.
    """
    _adapter(as_type)


def encode(value: object, as_type: Any = _UNTYPED, *, what: str = "value") -> JsonText:
    """Encode to compact JSON, by `as_type` or else by the value's own type.

    Raises:
        PayloadError: `what` does not fit the type, has no JSON form, would not come back as it
            was, or is too large.
    """
    try:
        if type(value) is as_type and as_type in EXACT:
            data = to_json(value)
        elif as_type is _UNTYPED or as_type is Any:
            data = to_json(value, bytes_mode="base64", inf_nan_mode="constants")
        else:
            data = _adapter(as_type).dump(value)
    except (PydanticSerializationError, UnicodeEncodeError, ValueError, TypeError) as error:
        raise PayloadError(_unencodable(what, value, as_type, error)) from error
    text = checked(data, what)
    if as_type in EXACT and value is not None:
        return text
    if as_type is _UNTYPED or as_type is Any:
        fault = _LOST_NUMBER if "null" in text and holds_lost_number(value) else None
    else:
        fault = _adapter(as_type).fault(value, text)
    if fault is not None:
        msg = f"{what} {fault}"
        raise PayloadError(msg)
    return text


def checked(data: bytes, what: str) -> JsonText:
    """Refuse encoded data that is too large, is not JSON after all, or could not be read back."""
    if len(data) > PAYLOAD_BYTES_MAX:
        raise PayloadError(too_large(what, len(data)))
    if b"NaN" in data or b"Infinity" in data:
        _read_back(data, what)
    elif len(data) > _UNSUSPICIOUS_BYTES:
        brackets = data.count(b"[") + data.count(b"{")
        # A number that is too long has a digit at one of these places, wherever it begins.
        if brackets > _DEPTH_MAX or _DIGIT.search(data[_DIGITS_MAX::_DIGITS_MAX]):
            _read_back(data, what)
    return JsonText(data.decode())


def _read_back(data: bytes, what: str) -> None:
    """Read it as it will be read, within the records that will hold it."""
    try:
        from_json(_RECORDS_BEFORE + data + _RECORDS_AFTER, allow_inf_nan=False)
    except ValueError as error:
        if "recursion limit" in str(error):
            why = f"is nested deeper than {_DEPTH_MAX} levels; flatten it"
        elif "number out of range" in str(error):
            why = f"holds an integer of more than {_DIGITS_MAX:,} digits; send it as text"
        else:
            why = _LOST_NUMBER
        msg = f"{what} {why}"
        raise PayloadError(msg) from error


def too_large(what: str, size: int) -> str:
    """Say how much too large, and what to do."""
    return (
        f"{what} is {size:,} bytes of JSON; the limit is {PAYLOAD_BYTES_MAX:,}. "
        "Put the data into a store and pass its address"
    )


def decode[V](text: JsonText | None, as_type: type[V], *, what: str = "value") -> V:
    """Decode JSON as a type; None reads as JSON null.

    Raises:
        PayloadError: `what` is not JSON, or does not fit the type.
    """
    try:
        if as_type in _PLAIN:
            return cast("V", from_json(text if text is not None else "null"))
        return cast("V", _adapter(as_type).load(text if text is not None else "null"))
    except ValidationError as error:
        msg = f"{what} does not read as {type_name(as_type)}: {first_problem(error)}"
        raise PayloadError(msg) from error
    except ValueError as error:
        msg = f"{what} is not JSON: {first_line(error)}"
        raise PayloadError(msg) from error


def decode_object(text: JsonText | None, *, what: str = "value") -> dict[str, Any]:
    """Decode a JSON object without a type."""
    value = decode(text, object, what=what)
    if not isinstance(value, dict):
        msg = f"{what} is not a JSON object but {type(value).__name__}"
        raise PayloadError(msg)
    return cast("dict[str, Any]", value)


def _unencodable(what: str, value: object, as_type: Any, error: Exception) -> str:
    """Name what was found and what was expected."""
    text = str(error)
    if "surrogates not allowed" in text:
        return f"{what} holds half of a surrogate pair, which is not text; decode its source again"
    if as_type is _UNTYPED or as_type is Any:
        return f"{what} of type {type(value).__name__} has no JSON form: {first_line(error)}"
    found = type(value).__name__
    if "PydanticSerializationUnexpectedValue" in text:
        return f"{what} is declared {type_name(as_type)}, found {found}: {_unexpected(text)}"
    return f"{what} of type {found} has no JSON form: {first_line(error)}"


def _unexpected(text: str) -> str:
    """Cut pydantic's warning down to what differs."""
    line = text.splitlines()[-1].strip()
    inner = line.removeprefix("PydanticSerializationUnexpectedValue(").removesuffix(")")
    return inner.replace(" - serialized value may not be as expected", "")


def type_name(as_type: Any) -> str:
    """Name a type as its author wrote it."""
    if isinstance(as_type, type) and not getattr(as_type, "__args__", None):
        return as_type.__qualname__
    return str(as_type).replace("typing.", "")


def first_line(error: BaseException) -> str:
    """Keep an error from flooding a message."""
    return (str(error) or type(error).__name__).splitlines()[0]


def first_problem(error: ValidationError) -> str:
    """Say the first of pydantic's findings, with its place."""
    problem = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    found = repr(problem["input"])
    if len(found) > 80:  # noqa: PLR2004  one line is enough to recognise it
        found = found[:77] + "..."
    return f"{f'{place}: ' if place else ''}{problem['msg']} (found {found})"


# ------------------------------------------------------------------ bodies of records


def json_string(text: str) -> str:
    """Quote a string as JSON."""
    return to_json(text).decode()


def raw_json(value: object) -> JsonText:
    """Encode what `from_json` read, to the same compact text that it was read from."""
    return JsonText(to_json(value).decode())


def encode_failure(failure: Failure) -> JsonText:
    """Encode a failure with its causes."""
    kind, message = json_string(storable(failure.type)), json_string(storable(failure.message))
    parts = [f'{{"category":"{failure.category}","type":{kind},"message":{message}']
    if not failure.retryable:
        parts.append(',"retryable":false')
    if failure.details is not None:
        parts.append(f',"details":{failure.details}')
    if failure.traceback is not None:
        parts.append(f',"traceback":{json_string(storable(failure.traceback))}')
    if failure.cause is not None:
        parts.append(f',"cause":{encode_failure(failure.cause)}')
    parts.append("}")
    return JsonText("".join(parts))


def storable(text: str) -> str:
    """Make any text storable: an error must not be lost because its message is odd."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def decode_failure(text: JsonText) -> Failure:
    """Decode what `encode_failure` wrote."""
    return failure_of(decode_object(text, what="a stored failure"))


def failure_of(data: dict[str, Any]) -> Failure:
    """Read a failure from its decoded JSON."""
    try:
        cause = data.get("cause")
        return Failure(
            category=FailureCategory(data["category"]),
            type=data["type"],
            message=data["message"],
            retryable=data.get("retryable", True),
            details=raw_json(data["details"]) if "details" in data else None,
            traceback=data.get("traceback"),
            cause=failure_of(cause) if cause is not None else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        msg = f"a stored failure is damaged: {error!r}"
        raise PayloadError(msg) from error


def encode_carried(carried: Sequence[CarriedEvent]) -> str:
    """Encode events that go on to the next execution."""
    items = (
        f'{{"name":{json_string(event.name)}'
        f"{'' if event.data is None else f',"data":{event.data}'}"
        f"{',"queued":true' if event.queued else ''}}}"
        for event in carried
    )
    return f"[{','.join(items)}]"


def encode_started(body: StartedBody) -> JsonText:
    """Encode the body of a `STARTED` record."""
    parts = [f'{{"name":{json_string(body.name)}']
    if body.version is not None:
        parts.append(f',"version":{json_string(body.version)}')
    parts.append(f',"input":{body.input}')
    if (parent := body.parent) is not None:
        parts.append(
            f',"parent":{{"instance":{json_string(parent.instance)}'
            f',"execution":{parent.execution},"operation":"{parent.operation}"}}'
        )
    if body.carried:
        parts.append(f',"carried":{encode_carried(body.carried)}')
    if body.custom_status is not None:
        parts.append(f',"custom_status":{body.custom_status}')
    if body.keys or body.updates:
        parts += _of_the_last_execution(body)
    if body.timeout is not None:
        parts.append(f',"timeout":{body.timeout.total_seconds()!r}')
    if body.deadline is not None:
        parts.append(f',"deadline":"{body.deadline.isoformat()}"')
    if body.priority:
        parts.append(f',"priority":{body.priority}')
    if body.attributes is not None:
        parts.append(f',"attributes":{body.attributes}')
    parts.append("}")
    return JsonText("".join(parts))


def _of_the_last_execution(body: StartedBody) -> list[str]:
    """Encode what only later executions have."""
    parts: list[str] = []
    if body.keys:
        parts.append(f',"keys":[{",".join(map(_encode_key, body.keys))}]')
    if body.updates:
        updates = ",".join(
            f'{{"update":{json_string(each.update)},"body":{each.body}}}' for each in body.updates
        )
        parts.append(f',"updates":[{updates}]')
    return parts


def _encode_key(entry: KeyValue) -> str:
    return (
        f'{{"key":{json_string(entry.key)},"value":{entry.value}'
        f',"updated_at":"{entry.updated_at.isoformat()}"}}'
    )


def decode_started(text: JsonText) -> StartedBody:
    """Decode what `encode_started` wrote."""
    data = decode_object(text, what="a stored start")
    try:
        parent = data.get("parent")
        rarer: dict[str, Any] = {} if data.keys() <= _USUAL else _rarer(data)
        return StartedBody(
            data["name"],
            data.get("version"),
            raw_json(data["input"]),
            None
            if parent is None
            else ParentLink(
                InstanceId(parent["instance"]),
                parent["execution"],
                OperationId(parent["operation"]),
            ),
            **rarer,
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"a stored start is damaged: {error!r}"
        raise PayloadError(msg) from error


_USUAL = frozenset({"name", "version", "input", "parent"})


def _rarer(data: dict[str, Any]) -> dict[str, Any]:
    """Read what most first executions do not have."""
    deadline, timeout = data.get("deadline"), data.get("timeout")
    return {
        "carried": tuple(
            CarriedEvent(item["name"], _raw(item, "data"), item.get("queued", False))
            for item in data.get("carried", ())
        ),
        "custom_status": _raw(data, "custom_status"),
        "keys": tuple(
            KeyValue(
                item["key"], raw_json(item["value"]), datetime.fromisoformat(item["updated_at"])
            )
            for item in data.get("keys", ())
        ),
        "updates": tuple(
            CarriedUpdate(item["update"], raw_json(item["body"]))
            for item in data.get("updates", ())
        ),
        "timeout": None if timeout is None else timedelta(seconds=timeout),
        "deadline": None if deadline is None else datetime.fromisoformat(deadline),
        "priority": data.get("priority", 0),
        "attributes": _raw(data, "attributes"),
    }


def _raw(item: dict[str, Any], field: str) -> JsonText | None:
    return raw_json(item[field]) if field in item else None


def encode_update(body: UpdateBody) -> JsonText:
    """Encode the body of an `UPDATE_REQUESTED` record."""
    return JsonText(f'{{"name":{json_string(body.name)},"input":{body.input}}}')


def decode_update(text: JsonText) -> UpdateBody:
    """Decode what `encode_update` wrote."""
    data = decode_object(text, what="a stored update")
    try:
        return UpdateBody(data["name"], raw_json(data["input"]))
    except KeyError as error:
        msg = f"a stored update is damaged: {error!r}"
        raise PayloadError(msg) from error
