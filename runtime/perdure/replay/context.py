"""What the author of an orchestration may ask for."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn, overload
from uuid import UUID

from perdure.errors import PayloadError
from perdure.model.codec import decode, encode
from perdure.model.ids import UNTAGGED, InstanceId, JsonText
from perdure.replay import races
from perdure.replay.definitions import (
    Activity,
    OrchestrationDef,
    checked_instance,
    checked_name,
    checked_tag,
    checked_timeout,
)
from perdure.replay.saga import Saga
from perdure.replay.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perdure.model.policy import Retry
    from perdure.replay.engine import Engine
    from perdure.replay.futures import OperationHandle

__all__ = ["OrchestrationContext"]

CUSTOM_STATUS_BYTES_MAX = 256 * 1024
CONTINUE_AS_NEW_RECORDS = 10_000
"""`should_continue_as_new` from here on: a constant, so that replay gives the same answer."""


class OrchestrationContext:
    """The first argument of every orchestration: identity, time, chance, events, status.

    Everything here is recorded, or derived from what is recorded, and so the same on every replay.
    """

    __slots__ = ("_definition", "_logger", "engine")

    def __init__(self, engine: Engine, definition: OrchestrationDef[..., Any]) -> None:
        """Made by the engine, one for each execution."""
        self.engine = engine
        self._definition = definition
        self._logger: ReplayLogger | None = None

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

    # --------------------------------------------------------------------- events

    @overload
    def wait_event(self, name: str) -> OperationHandle[Any]: ...
    @overload
    def wait_event[T](self, name: str, as_type: type[T]) -> OperationHandle[T]: ...
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

        return self.engine.wait_event(name, decode_event)

    # ---------------------------------------------------------------- the execution

    def continue_as_new(
        self, *args: object, version: str | None = None, **kwargs: object
    ) -> Awaitable[NoReturn]:
        """End this execution and start the next, with these arguments and a fresh history.

        The code goes no further than the next `await`, so write `await ctx.continue_as_new(...)`.
        Unread events and the custom status go along; what is still running is cancelled.

        Args:
            *args: The arguments of this orchestration for its next execution.
            version: Exactly this version; by default the latest where it starts.
            **kwargs: The same by name.

        Raises:
            PayloadError: an argument does not fit its type or is too large.
            DefinitionError: `version` is not a semantic version.
        """
        arguments = self._definition.signature.encode(args, kwargs)
        if version is not None:
            check_version(self._definition.signature.owner, version)
        return self.engine.continue_as_new(self._definition.name, version, arguments)

    def patched(self, patch: str) -> bool:
        """Tell whether this execution takes an edit of the code, named by a text of your own.

        True where it first asks at a point that no turn has passed yet; that is recorded. False
        where a recorded turn passed that point without it: the old branch goes on. The first
        answer holds for the whole execution; the next one, by continue-as-new, asks again.

        Raises:
            DefinitionError: no patch can have that name.
        """
        return self.engine.patched(checked_name("patch", patch))

    def deprecate_patch(self, patch: str) -> None:
        """Stand where `patched` stood, once no run is left that answers False.

        Runs that recorded the patch go on. When none of those is left, remove this too.

        Raises:
            DefinitionError: no patch can have that name.
        """
        self.engine.patched(checked_name("patch", patch), deprecated=True)

    def saga(self) -> Saga:
        """Open a scope whose steps are undone, in reverse order, if it does not end well.

        ::

            async with ctx.saga() as saga:
                room = await book_room(trip)
                saga.compensate(cancel_room, room)
                await charge(trip)  # if it fails, the room is cancelled
        """
        return Saga()

    def set_custom_status(self, value: object) -> None:
        """Show any JSON value to whoever asks for the instance's status.

        Raises:
            PayloadError: it has no JSON form or is larger than 256 KiB.
        """
        text = encode(value, what="the custom status")
        if len(text.encode()) > CUSTOM_STATUS_BYTES_MAX:
            msg = f"the custom status is larger than {CUSTOM_STATUS_BYTES_MAX:,} bytes of JSON"
            raise PayloadError(msg)
        self.engine.set_custom_status(text)

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
    def logger(self) -> ReplayLogger:
        """A logger that is silent on replay and names the instance."""
        if self._logger is None:
            self._logger = ReplayLogger(self.engine, logging.getLogger(self._definition.__module__))
        return self._logger

    # ------------------------------------------------- by name, and by the seed's names

    @overload
    def schedule_activity[**P, R](
        self, activity: Activity[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> OperationHandle[R]: ...
    @overload
    def schedule_activity(
        self,
        activity: str,
        arguments: Mapping[str, object] | None = None,
        *,
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
    ) -> OperationHandle[Any]: ...
    @overload
    def schedule_activity[T](
        self,
        activity: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: type[T],
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
    ) -> OperationHandle[T]: ...
    def schedule_activity(self, activity: Any, *args: Any, **kwargs: Any) -> Any:
        """Schedule an activity now: like calling it, or by name with its arguments in a mapping."""
        if isinstance(activity, str):
            return self._activity_by_name(activity, *args, **kwargs)
        return activity(*args, **kwargs)

    def _activity_by_name(
        self,
        name: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: Any = Any,
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
    ) -> OperationHandle[Any]:
        what = f"activity {checked_name('activity', name)!r}"
        return self.engine.schedule_activity(
            name,
            _by_name(what, arguments),
            checked_tag(what, tag),
            retry,
            checked_timeout(what, timeout),
            _decoder(what, result_type),
        )

    @overload
    def schedule_sub_orchestration[**P, R](
        self, orchestration: OrchestrationDef[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> OperationHandle[R]: ...
    @overload
    def schedule_sub_orchestration(
        self,
        orchestration: str,
        arguments: Mapping[str, object] | None = None,
        *,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> OperationHandle[Any]: ...
    @overload
    def schedule_sub_orchestration[T](
        self,
        orchestration: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: type[T],
        instance_id: str | None = None,
        version: str | None = None,
    ) -> OperationHandle[T]: ...
    def schedule_sub_orchestration(self, orchestration: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a child now: like calling it, or by name with its arguments in a mapping."""
        if isinstance(orchestration, str):
            return self._child_by_name(orchestration, *args, **kwargs)
        return orchestration(*args, **kwargs)

    def _child_by_name(
        self,
        name: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: Any = Any,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> OperationHandle[Any]:
        what = f"orchestration {checked_name('orchestration', name)!r}"
        return self.engine.start_child(
            name,
            None if version is None else check_version(what, version),
            checked_instance(what, instance_id),
            _by_name(what, arguments),
            _decoder(what, result_type),
        )

    def schedule_orchestration(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        instance_id: str | None = None,
        arguments: Mapping[str, object] | None = None,
        *,
        version: str | None = None,
    ) -> InstanceId:
        """Start an instance that nobody waits for; return its id."""
        name = orchestration if isinstance(orchestration, str) else orchestration.name
        what = f"orchestration {checked_name('orchestration', name)!r}"
        child = checked_instance(what, instance_id)
        if version is not None:
            check_version(what, version)
        if isinstance(orchestration, str):
            text = _by_name(what, arguments)
            return self.engine.start_detached(orchestration, version, child, text)
        text = orchestration.signature.encode((), arguments or {})
        return self.engine.start_detached(
            orchestration.name,
            version or orchestration.asked_version,
            child or orchestration.asked_instance,
            text,
        )

    def schedule_timer(self, delay: timedelta | float) -> OperationHandle[None]:
        """Start a durable timer of so many seconds now; awaited it is `asyncio.sleep`."""
        found = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        return self.engine.schedule_timer(max(found, timedelta(0)))

    def new_guid(self) -> str:
        """Return `uuid4()` as text."""
        return str(self.uuid4())

    def utc_now(self) -> datetime:
        """Return `now()`."""
        return self.engine.now

    def trace_debug(self, message: str) -> None:
        """Log at level DEBUG, silent on replay."""
        self.logger.debug(message, stacklevel=2)

    def trace_info(self, message: str) -> None:
        """Log at level INFO, silent on replay."""
        self.logger.info(message, stacklevel=2)

    def trace_warn(self, message: str) -> None:
        """Log at level WARNING, silent on replay."""
        self.logger.warning(message, stacklevel=2)

    def trace_error(self, message: str) -> None:
        """Log at level ERROR, silent on replay."""
        self.logger.error(message, stacklevel=2)

    # --------------------------------------------------------------------- races

    async def select2[A, B](
        self, first: Awaitable[A], second: Awaitable[B]
    ) -> tuple[Literal[0], A] | tuple[Literal[1], B]:
        """Wait for either; return which, with its result; the other is cancelled.

        Raises:
            BaseException: what the winner raised.
        """
        return await races.select(first, second)  # type: ignore[return-value]  # 0 with A, 1 with B

    async def select3[A, B, C](
        self, first: Awaitable[A], second: Awaitable[B], third: Awaitable[C]
    ) -> tuple[Literal[0], A] | tuple[Literal[1], B] | tuple[Literal[2], C]:
        """Wait for any of three, see `select2`."""
        return await races.select(first, second, third)  # type: ignore[return-value]  # as above

    async def select[T](self, awaitables: Iterable[Awaitable[T]]) -> tuple[int, T]:
        """Wait for the first of many, see `select2`."""
        return await races.select(*awaitables)

    async def join[T](self, awaitables: Iterable[Awaitable[T]]) -> list[T | BaseException]:
        """Wait for all; return results, or what was raised, in the order of the arguments."""
        return await races.join(*awaitables)


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


def _by_name(what: str, arguments: Mapping[str, object] | None) -> JsonText:
    return encode(dict(arguments or {}), what=f"the arguments of {what}")


class _decoder:  # noqa: N801  used as a function
    """Decodes the result of something known by name only."""

    __slots__ = ("_type", "_what")

    def __init__(self, what: str, as_type: Any) -> None:
        self._what, self._type = f"the result of {what}", as_type

    def __call__(self, text: JsonText | None) -> Any:
        return decode(text, self._type, what=self._what)
