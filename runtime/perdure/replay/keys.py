"""The key-value map of an instance: small state that it keeps, and that others may read.

The map lives in the engine. It starts as the execution's start recorded it and changes by recorded
decisions alone, so a read needs neither storage nor an await, and a replay sees at every point
what the code saw there. Storage keeps a copy for everybody else, written with each turn. The time
of an entry is the recorded time of the turn that set it, and every walk over the map is in the
order in which keys were first set: so what is pruned is the same on every replay.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, overload

from perdure.errors import PayloadError
from perdure.model.actions import ClearKey, ClearKeys, SetKey
from perdure.model.codec import decode, encode
from perdure.model.ids import NAME_BYTES_MAX, InstanceId, fault_of, short
from perdure.model.records import KeyValue

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from perdure.model.ids import JsonText
    from perdure.model.limits import Limits
    from perdure.replay.engine import Engine
    from perdure.replay.futures import OperationHandle

__all__ = ["KeyMap", "Keys", "OtherKeys"]


class Keys:
    """The entries as they stand, and the room that is left."""

    __slots__ = ("_bytes", "entries")

    def __init__(self, entries: Iterable[KeyValue]) -> None:
        """Begin with what the last execution left."""
        self.entries: dict[str, KeyValue] = {}
        self._bytes = 0
        for entry in entries:
            self.set(entry)

    def fault(self, key: str, value: JsonText, limits: Limits) -> str | None:
        """Say why an entry has no room, or None."""
        what = f"key {short(key)} of the key-value map"
        length, size = len(key.encode()), len(value.encode())
        if size > limits.value_bytes:
            return _beyond(f"the value of {what}", size, limits.value_bytes)
        found = self.entries.get(key)
        if found is None and len(self.entries) >= limits.keys:
            return (
                f"{what} would be number {len(self.entries) + 1}; the limit is {limits.keys}. "
                "Clear what is not needed any more, or put several values under one key"
            )
        total = self._bytes + length + size - (0 if found is None else _size(found))
        if total > limits.keys_total_bytes:
            return _beyond(f"the key-value map with {what}", total, limits.keys_total_bytes)
        return None

    def set(self, entry: KeyValue) -> None:
        """Put an entry in, in the place of the one of its key."""
        found = self.entries.get(entry.key)
        self._bytes += _size(entry) - (0 if found is None else _size(found))
        self.entries[entry.key] = entry

    def clear(self, key: str) -> None:
        """Take an entry out."""
        self._bytes -= _size(self.entries.pop(key))

    def clear_all(self) -> None:
        """Take all out."""
        self.entries.clear()
        self._bytes = 0


def _size(entry: KeyValue) -> int:
    return len(entry.key.encode()) + len(entry.value.encode())


def _beyond(what: str, size: int, limit: int) -> str:
    return (
        f"{what} is {size:,} bytes; the limit is {limit:,}. Put the data into a store and keep its "
        "address"
    )


class KeyMap[V](MutableMapping[str, V]):
    """The map as the code of the instance sees it: a mapping of keys to JSON values.

    Values are copies: after changing one, set it again.
    """

    __slots__ = ("_as_type", "_engine")

    def __init__(self, engine: Engine, as_type: Any) -> None:
        """Made by `OrchestrationContext.kv`; `as_type` is what values are read as."""
        self._engine = engine
        self._as_type = as_type

    def typed[T](self, as_type: type[T]) -> KeyMap[T]:
        """Return the same map, its values read and written as one type."""
        return KeyMap[T](self._engine, as_type)

    def __getitem__(self, key: str) -> V:
        """Return a value.

        Raises:
            KeyError: the key is not set.
            PayloadError: its value does not fit the type.
        """
        return self._read(self._engine.keys.entries[key])

    def __setitem__(self, key: str, value: V) -> None:
        """Set a key.

        Raises:
            PayloadError: no key can be called that, the value has no JSON form, or there is no
                room for it.
        """
        if wrong := fault_of(key, NAME_BYTES_MAX):
            msg = f"key {short(key)} of the key-value map cannot be: it {wrong}"
            raise PayloadError(msg)
        text = encode(value, self._as_type, what=f"the value of key {short(key)}")
        engine = self._engine
        operation, line = engine.next_operation()
        fault = engine.keys.fault(key, text, engine.limits)
        engine.admit("key", fault, operation, line)
        engine.record(SetKey(operation, key, text, line))
        engine.keys.set(KeyValue(key, text, engine.now))

    def __delitem__(self, key: str) -> None:
        """Clear a key.

        Raises:
            KeyError: it is not set.
        """
        engine = self._engine
        if key not in engine.keys.entries:
            raise KeyError(key)
        operation, line = engine.next_operation()
        engine.record(ClearKey(operation, key, line))
        engine.keys.clear(key)

    def discard(self, key: str) -> None:
        """Clear a key if it is set."""
        if key in self._engine.keys.entries:
            del self[key]

    def __iter__(self) -> Iterator[str]:
        """Walk over the keys as they are now, in the order in which they were first set."""
        return iter(list(self._engine.keys.entries))

    def __len__(self) -> int:
        return len(self._engine.keys.entries)

    def __contains__(self, key: object) -> bool:
        return key in self._engine.keys.entries

    def clear(self) -> None:
        """Clear all keys, in one decision."""
        engine = self._engine
        if not engine.keys.entries:
            return
        operation, line = engine.next_operation()
        engine.record(ClearKeys(operation, line))
        engine.keys.clear_all()

    def prune(self, before: datetime) -> int:
        """Clear the keys that were last set before a time; return how many.

        Raises:
            ValueError: `before` has no time zone.
        """
        if before.tzinfo is None:
            msg = f"prune(before={before}) has no time zone; begin from ctx.now()"
            raise ValueError(msg)
        entries = list(self._engine.keys.entries.values())
        old = [entry.key for entry in entries if entry.updated_at < before]
        for key in old:
            del self[key]
        return len(old)

    def updated_at(self, key: str) -> datetime:
        """Return the recorded time of the turn that set a key.

        Raises:
            KeyError: the key is not set.
        """
        return self._engine.keys.entries[key].updated_at

    def _read(self, entry: KeyValue) -> V:
        value: V = decode(entry.value, self._as_type, what=f"the value of key {entry.key!r}")
        return value

    def __repr__(self) -> str:
        return f"<key-value map of {self._engine.instance!r}, {len(self)} keys>"


class OtherKeys:
    """The key-value map of another instance, to be read."""

    __slots__ = ("_engine", "instance")

    def __init__(self, engine: Engine, instance: InstanceId) -> None:
        """Made by `OrchestrationContext.kv_of`."""
        self._engine = engine
        self.instance = instance

    @overload
    def get(self, key: str) -> OperationHandle[Any]: ...
    @overload
    def get[T](self, key: str, as_type: type[T]) -> OperationHandle[T | None]: ...
    def get(self, key: str, as_type: Any = Any) -> OperationHandle[Any]:
        """Read a key as it is when this turn is committed; None if it is not set.

        Awaiting raises `PayloadError` if the value does not fit `as_type`.
        """
        return self._engine.inbox.read_key(self.instance, key, as_type)
