"""What the body of an activity may ask about itself, and ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, overload

from perdure.model.ids import InstanceId, JsonText, OperationId

if TYPE_CHECKING:
    import logging
    from collections.abc import Coroutine
    from datetime import timedelta

    from perdure.replay.definitions import OrchestrationDef

__all__ = ["ActivityClient", "ActivityContext", "LeftError", "StartedInstance"]


type OnConflict = Literal["reject", "attach"]


class LeftError(BaseException):
    """A body that deferred its result ended itself; nobody's `except Exception` stops it."""


class StartedInstance(Protocol):
    """What a start returns."""

    @property
    def instance_id(self) -> str:
        """The id that it runs under."""
        ...


class ActivityClient(Protocol):
    """The part of the client that an executor is allowed: to start and to send.

    Its calls are `async`; a sync body makes them through `ActivityContext.call`. With `connection`
    (`ActivityContext.connection`) a call takes part in the activity's transaction.
    """

    @overload
    async def start[**P](
        self, definition: OrchestrationDef[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> StartedInstance: ...
    @overload
    async def start(
        self,
        definition: OrchestrationDef[..., Any],
        /,
        *args: object,
        instance_id: str,
        on_conflict: OnConflict = "reject",
        connection: object | None = None,
        **kwargs: object,
    ) -> StartedInstance: ...
    async def start(self, definition: Any, /, *args: Any, **kwargs: Any) -> StartedInstance:
        """Start an orchestration; returns when that is durable.

        An attempt may be repeated, and starts again then: give an id that follows from
        `ActivityContext.idempotency_key`, and `on_conflict="attach"`.
        """
        ...

    async def start_named(
        self,
        name: str,
        arguments: JsonText,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        connection: object | None = None,
    ) -> StartedInstance:
        """Start by name, with arguments that are JSON already."""
        ...

    async def raise_event(
        self, instance_id: str, name: str, data: object = None, *, connection: object | None = None
    ) -> None:
        """Raise an event."""
        ...

    async def enqueue_event(
        self, instance_id: str, queue: str, data: object = None, *, connection: object | None = None
    ) -> None:
        """Put an item into one of an instance's queues."""
        ...


class ActivityContext(ABC):
    """What the body of an activity may ask about itself; it asks by its first parameter's type.

    Unless it says otherwise, everything here may be used from any thread.
    """

    @property
    @abstractmethod
    def instance(self) -> InstanceId:
        """The instance that wants the result."""

    @property
    @abstractmethod
    def execution(self) -> int:
        """Its execution: 1, and one more after every continue-as-new."""

    @property
    @abstractmethod
    def operation(self) -> OperationId:
        """The call within the execution."""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call, and for no other call."""
        return f"{self.instance}/{self.execution}/{self.operation}"

    @property
    @abstractmethod
    def attempt(self) -> int:
        """1 on the first try."""

    @property
    @abstractmethod
    def tag(self) -> str:
        """The tag it was sent by; empty for none."""

    @property
    @abstractmethod
    def session(self) -> str | None:
        """The session it belongs to: its other activities come to this process too."""

    @property
    @abstractmethod
    def priority(self) -> int:
        """The priority it was scheduled with."""

    # ------------------------------------------------------------------ being stopped

    @property
    @abstractmethod
    def is_cancelled(self) -> bool:
        """True once the result is not wanted any more, or the executor shuts down."""

    @property
    @abstractmethod
    def cancel_reason(self) -> str | None:
        """Why, once `is_cancelled`."""

    def raise_if_cancelled(self) -> None:
        """Raise `asyncio.CancelledError` once cancelled: for loops, of sync bodies too."""
        if self.is_cancelled:
            raise CancelledError(self.cancel_reason)

    @abstractmethod
    async def wait_cancelled(self) -> str:
        """Wait until cancelled; return the reason. For async bodies."""

    # ------------------------------------------------------------------ telling of progress

    @abstractmethod
    def heartbeat(self, details: object = None) -> None:
        """Say that the attempt is alive, and how far it is; returns at once.

        `details` (any JSON value; None leaves the last ones) are kept for the next attempt and
        shown to whoever looks. They are written about once a second, the last ones win. With a
        heartbeat time-out, an attempt that does not call this for so long has timed out.

        Raises:
            PayloadError: `details` has no JSON form or is too large.
        """

    @abstractmethod
    def heartbeat_details[T](self, as_type: type[T]) -> T | None:
        """Return what an earlier attempt told last; None if none told anything.

        Raises:
            PayloadError: it does not fit the type.
        """

    # ------------------------------------------------------------------ finishing elsewhere

    @abstractmethod
    def defer(self, *, within: timedelta | float) -> str:
        """Let somebody else finish this activity later; return the token to do so with.

        Whoever has the token calls `Client.complete_activity` or `Client.fail_activity`, from any
        process. The attempt ends when the body does, and what it returns is ignored; if it raises,
        the attempt fails as ever. If nobody has finished it after `within` (seconds or a timedelta,
        from the end of the body), the attempt is lost and another one begins.

        Raises:
            ValueError: `within` is no time.
        """

    @property
    @abstractmethod
    def is_deferred(self) -> bool:
        """True once `defer` was called."""

    def leave(self) -> NoReturn:
        """End the body after `defer`, where a checker wants a result that there is not yet.

        Raises:
            RuntimeError: `defer` was not called.
        """
        if not self.is_deferred:
            msg = "ActivityContext.leave: call defer first; nobody could finish this activity"
            raise RuntimeError(msg)
        raise LeftError

    # ------------------------------------------------------------------ reaching storage

    @property
    @abstractmethod
    def client(self) -> ActivityClient:
        """A client on the executor's own storage, to start orchestrations and send events.

        Raises:
            ConfigurationError: this executor was given none.
        """

    @property
    @abstractmethod
    def connection(self) -> Any:
        """The driver's connection of a transactional activity: `asyncpg`'s, or `sqlite3`'s.

        What is written with it is committed together with the activity's result, or not at all.
        Typed `Any` so that a body can say which driver it expects.

        Raises:
            ConfigurationError: the activity is not `@activity(transactional=True)`.
        """

    @abstractmethod
    def call[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the executor's event loop, from a sync body, and wait for it.

        Raises:
            RuntimeError: the body is async: await the coroutine.
        """

    @property
    @abstractmethod
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that adds the fields above."""
