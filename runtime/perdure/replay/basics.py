"""Who an orchestration is, what time it is, what it has been told, and what it keeps.

The part of the context that everything else about it builds on.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload
from uuid import UUID

from perdure.errors import DefinitionError
from perdure.model.codec import decode, decode_object, encode
from perdure.model.ids import NAME_BYTES_MAX, InstanceId, JsonText, fault_of, short
from perdure.replay.checks import checked_attributes, checked_instance, checked_name
from perdure.replay.keys import KeyMap, OtherKeys
from perdure.replay.queues import Queue
from perdure.replay.sessions import SessionScope, session_id

if TYPE_CHECKING:
    from types import UnionType

    from perdure.replay.definitions import OrchestrationDef
    from perdure.replay.engine import Engine
    from perdure.replay.futures import OperationHandle

__all__ = ["Basics", "ReplayLogger"]

CONTINUE_AS_NEW_RECORDS = 10_000
"""`should_continue_as_new` from here on: a constant, so that replay gives the same answer."""


class Basics:
    """Identity, time, chance, events, status, keys."""

    __slots__ = ("_definition", "_kv", "_logger", "engine")

    def __init__(self, engine: Engine, definition: OrchestrationDef[..., Any]) -> None:
        """Made by the engine, one for each execution."""
        self.engine = engine
        self._definition = definition
        self._logger: ReplayLogger | None = None
        self._kv: KeyMap[Any] | None = None

    # ----------------------------------------------------------------- identity

    @property
    def instance_id(self) -> InstanceId:
        """The id that this instance was started under."""
        return self.engine.instance

    @property
    def execution(self) -> int:
        """1, and one more after every continue-as-new."""
        return self.engine.execution

    @property
    def name(self) -> str:
        """The name of this orchestration."""
        return self._definition.name

    @property
    def version(self) -> str:
        """The version that this execution started with and keeps."""
        return self._definition.version

    @property
    def is_replaying(self) -> bool:
        """True while recorded decisions are repeated. For logs, never for logic."""
        return self.engine.replaying

    @property
    def cancel_reason(self) -> str | None:
        """Why the instance was asked to cancel; None if it was not."""
        return self.engine.cancel_reason

    @property
    def history_length(self) -> int:
        """Records of this execution up to this turn."""
        return self.engine.history_length

    @property
    def deadline(self) -> datetime | None:
        """When the run times out; None: never."""
        return self.engine.deadline

    @property
    def priority(self) -> int:
        """Of its activities and children, unless they say otherwise."""
        return self.engine.priority

    @property
    def should_continue_as_new(self) -> bool:
        """True once the history is long enough that a fresh one would be better."""
        return self.engine.history_length >= CONTINUE_AS_NEW_RECORDS

    # ------------------------------------------------------------- time and chance

    def now(self) -> datetime:
        """Return the recorded time of this turn, in UTC."""
        return self.engine.now

    def uuid4(self) -> UUID:
        """Return a random-looking id that is the same on every replay."""
        return UUID(bytes=self.engine.derive("uuid")[:16], version=4)

    def random(self) -> random.Random:
        """Return a fresh generator, seeded the same on every replay."""
        return random.Random(self.engine.derive("random"))  # noqa: S311  chance, not secrecy

    def session(self, name: str | None = None) -> SessionScope:
        """Make a session of this instance's own: its activities keep to one executor.

        ::

            async with ctx.session() as session:
                await load.options(session=session)(model)
                await embed.options(session=session)(text)  # where it was loaded

        Args:
            name: The same name is the same session, also after continue-as-new; without one
                every call makes another.

        Raises:
            DefinitionError: no session can have that name.
        """
        if name is not None and (fault := fault_of(name, NAME_BYTES_MAX)):
            msg = f"session {short(name)} cannot be: it {fault}"
            raise DefinitionError(msg)
        return SessionScope(session_id(self.engine, name))

    # --------------------------------------------------------------------- events

    @overload
    def wait_event(self, name: str) -> OperationHandle[Any]: ...
    @overload
    def wait_event[T](self, name: str, as_type: type[T]) -> OperationHandle[T]: ...
    @overload
    def wait_event(self, name: str, as_type: UnionType) -> OperationHandle[Any]: ...
    def wait_event(self, name: str, as_type: Any = Any) -> OperationHandle[Any]:
        """Wait for the next event of that name.

        Events are kept from before the start and across continue-as-new, and given out in order
        of arrival, each to one wait. Awaiting raises `PayloadError` if its data does not fit
        `as_type`; the event is consumed all the same.

        Raises:
            DefinitionError: no event can have that name.
        """
        checked_name("event", name)

        def decode_event(text: JsonText | None) -> Any:
            return decode(text, as_type, what=f"event {name!r}")

        return self.engine.inbox.wait_event(name, decode_event)

    @overload
    def schedule_wait(self, name: str) -> OperationHandle[Any]: ...
    @overload
    def schedule_wait[T](self, name: str, as_type: type[T]) -> OperationHandle[T]: ...
    @overload
    def schedule_wait(self, name: str, as_type: UnionType) -> OperationHandle[Any]: ...
    def schedule_wait(self, name: str, as_type: Any = Any) -> OperationHandle[Any]:
        """Wait for an event of that name that arrives from now on.

        Unlike with `wait_event` those that came earlier do not count. Waits of both sorts share
        one line: an event goes to the one that has waited longest.

        Raises:
            DefinitionError: no event can have that name.
        """
        checked_name("event", name)

        def decode_event(text: JsonText | None) -> Any:
            return decode(text, as_type, what=f"event {name!r}")

        return self.engine.inbox.wait_next(name, decode_event)

    @overload
    def queue(self, name: str) -> Queue[Any]: ...
    @overload
    def queue[T](self, name: str, as_type: type[T]) -> Queue[T]: ...
    @overload
    def queue(self, name: str, as_type: UnionType) -> Queue[Any]: ...
    def queue(self, name: str, as_type: Any = Any) -> Queue[Any]:
        """Return a durable queue of this instance, to take messages from.

        ::

            inbox = ctx.queue("inbox", Order)
            first = await inbox.get()
            async for order in inbox: ...

        Others fill it by `enqueue_event`. Messages are kept from before the start and across
        continue-as-new, and given out in order of arrival, each once.

        Raises:
            DefinitionError: no queue can have that name.
        """
        return Queue(self.engine, checked_name("queue", name), as_type)

    @overload
    def dequeue_event(self, queue: str) -> OperationHandle[Any]: ...
    @overload
    def dequeue_event[T](self, queue: str, as_type: type[T]) -> OperationHandle[T]: ...
    @overload
    def dequeue_event(self, queue: str, as_type: UnionType) -> OperationHandle[Any]: ...
    def dequeue_event(self, queue: str, as_type: Any = Any) -> OperationHandle[Any]:
        """Take the next message of a queue, see `queue`."""
        return self.engine.inbox.dequeue_event(checked_name("queue", queue), as_type)

    # ----------------------------------------------------------------------- keys

    @property
    def kv(self) -> KeyMap[Any]:
        """Small state that the instance keeps, and others may read: a mapping of JSON values.

        It outlives continue-as-new. `ctx.kv.typed(Model)` is the same map with values of one type.
        """
        if self._kv is None:
            self._kv = KeyMap[Any](self.engine, Any)
        return self._kv

    def kv_of(self, instance_id: str) -> OtherKeys:
        """Return the map of another instance: `await ctx.kv_of(id).get("key", Model)`.

        Raises:
            DefinitionError: no instance can have that id.
        """
        found = checked_instance(f"instance {self.instance_id!r}", instance_id)
        return OtherKeys(self.engine, found or self.instance_id)

    # -------------------------------------------------------------- status, attributes

    def set_custom_status(self, value: object) -> None:
        """Show any JSON value to whoever asks for the instance's status.

        Raises:
            PayloadError: it has no JSON form or is larger than `Limits.custom_status_bytes`.
        """
        self.engine.set_custom_status(encode(value, what="the custom status"))

    def get_custom_status(self) -> Any:
        """Return what was last set, as plain JSON values; None if nothing is."""
        text = self.engine.custom_status
        return None if text is None else decode(text, object)

    def reset_custom_status(self) -> None:
        """Show nothing."""
        self.engine.set_custom_status(None)

    @property
    def status(self) -> Any:
        """The custom status: assign to show, `del` to clear."""
        return self.get_custom_status()

    @status.setter
    def status(self, value: object) -> None:
        self.set_custom_status(value)

    @status.deleter
    def status(self) -> None:
        self.reset_custom_status()

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What the instance is found by, as it was started with or as last set."""
        text = self.engine.attributes
        return MappingProxyType({} if text is None else decode_object(text))

    def set_attributes(
        self,
        attributes: Mapping[str, str | float | bool | None] | None = None,
        /,
        **named: str | float | bool | None,
    ) -> None:
        """Be found by these attributes too; None takes one away.

        Raises:
            DefinitionError: a name or a value cannot be.
            PayloadError: all together are larger than `Limits.attribute_bytes`.
        """
        asked = {**(attributes or {}), **named}
        text = checked_attributes(f"instance {self.instance_id!r}", asked)
        if text is not None:
            self.engine.set_attributes(text)

    # ------------------------------------------------------------------------ logging

    @property
    def logger(self) -> ReplayLogger:
        """A logger that is silent on replay and names the instance."""
        if self._logger is None:
            self._logger = ReplayLogger(self.engine, logging.getLogger(self._definition.__module__))
        return self._logger


class ReplayLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs what happens for the first time, and is silent on replay."""

    def __init__(self, engine: Engine, logger: logging.Logger) -> None:
        super().__init__(logger, {})
        self._engine = engine

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  logging's name
        """Return False on replay and while the execution is thrown away."""
        engine = self._engine
        return not engine.replaying and not engine.closed and self.logger.isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the instance to each line."""
        kwargs["extra"] = {**self._engine.log_fields(), **(kwargs.get("extra") or {})}
        return msg, kwargs
