"""One instance, in the hands of a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from perdure.errors import (
    OrchestrationCancelledError,
    OrchestrationError,
    OrchestrationTerminatedError,
    OrchestrationTimedOutError,
    ResultTimeoutError,
)
from perdure.model.ids import InstanceId, JsonText
from perdure.providers.reading import InstanceInfo, InstanceStatus

if TYPE_CHECKING:
    from perdure.client.client import Client
    from perdure.model.events import Event

__all__ = ["InstanceHandle", "outcome_error"]

ANY: type[Any] = object
"""A result of whatever type it has as JSON."""
PATIENCE = timedelta(seconds=30)
"""How long a query or an update waits for its answer."""


class InstanceHandle[R]:
    """An instance by its id, and how to read its result; holding one costs nothing.

    Made by `Client.start` and `Client.get_handle`. All methods raise `ProviderError` if storage
    stays away.
    """

    def __init__(
        self, client: Client, instance_id: InstanceId, decode: Callable[[JsonText | None], R]
    ) -> None:
        self._client = client
        self._decode = decode
        self.instance_id = instance_id

    def __repr__(self) -> str:
        return f"InstanceHandle({self.instance_id!r})"

    async def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait for the result, for `timeout` (seconds) at most.

        Raises:
            OrchestrationError: It ended as Failed; subclasses for Cancelled, Terminated, TimedOut.
            ResultTimeoutError: It has not ended in that time; it goes on.
            InstanceNotFoundError: There is no such instance.
            PayloadError: The result does not fit the type that was declared.
        """
        info = await self.ended(timeout)
        if info.status is not InstanceStatus.COMPLETED:
            raise outcome_error(info)
        return self._decode(info.output)

    async def ended(self, timeout: timedelta | float | None = None) -> InstanceInfo:
        """Wait until it has ended, however it did, for `timeout` (seconds) at most.

        Raises:
            ResultTimeoutError: It has not ended in that time; it goes on.
            InstanceNotFoundError: There is no such instance.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                return await self._client.wait_ended(self.instance_id)
        except TimeoutError:
            if not scope.expired():
                raise
            raise await self._still_running(seconds or 0.0) from None

    async def _still_running(self, seconds: float) -> ResultTimeoutError:
        info = await self.status()
        state = info.status.value
        if info.block is not None:
            state = f"{state} ({info.block.reason}: {info.block.message})"
        return ResultTimeoutError(
            f"Instance {self.instance_id!r} has not ended after {seconds:g} s; it is {state}"
        )

    async def status(self) -> InstanceInfo:
        """Read the instance as it is now; raises `InstanceNotFoundError`."""
        return await self._client.get(self.instance_id)

    async def history(self) -> tuple[Event, ...]:
        """Read all its events so far, oldest first."""
        return await self._client.history(self.instance_id)

    async def raise_event(self, name: str, data: object = None) -> None:
        """Raise an event: it is consumed by the next wait for that name, whenever that comes.

        Raises:
            InstanceFinishedError: The instance has ended.
            InboxFullError: Too many messages wait for it.
            PayloadError: `data` has no JSON form.
        """
        await self._client.raise_event(self.instance_id, name, data)

    async def enqueue_event(self, queue: str, data: object = None) -> None:
        """Put an item into one of its queues; raises like `raise_event`."""
        await self._client.enqueue_event(self.instance_id, queue, data)

    @overload
    async def query[T](
        self, name: str, /, *, result_type: type[T], timeout: timedelta = PATIENCE,
        **arguments: object,
    ) -> T: ...  # fmt: skip
    @overload
    async def query(
        self, name: str, /, *, timeout: timedelta = PATIENCE, **arguments: object
    ) -> Any: ...
    async def query(self, name: str, /, **arguments: Any) -> Any:
        """Ask one of its handlers for something it knows; see `Client.query`."""
        return await self._client.query(self.instance_id, name, **arguments)

    @overload
    async def update[T](
        self, name: str, /, *, result_type: type[T], update_id: str | None = None,
        timeout: timedelta | None = PATIENCE, **arguments: object,
    ) -> T: ...  # fmt: skip
    @overload
    async def update(
        self, name: str, /, *, update_id: str | None = None,
        timeout: timedelta | None = PATIENCE, **arguments: object,
    ) -> Any: ...  # fmt: skip
    async def update(self, name: str, /, **arguments: Any) -> Any:
        """Ask one of its handlers to do something; see `Client.update`."""
        return await self._client.update(self.instance_id, name, **arguments)

    @overload
    async def get_key[T](self, key: str, as_type: type[T]) -> T | None: ...
    @overload
    async def get_key(self, key: str) -> Any: ...
    async def get_key(self, key: str, as_type: Any = object) -> Any:
        """Read one value of its key-value map; see `Client.get_key`."""
        return await self._client.get_key(self.instance_id, key, as_type)

    async def watch(self) -> AsyncGenerator[InstanceInfo]:
        """Yield it as it is now and whenever it has changed, until it has ended."""
        async for info in self._client.watch(self.instance_id):
            yield info

    async def cancel(self, reason: str = "") -> None:
        """Ask it to cancel: its code may clean up. Nothing happens to one that has ended."""
        await self._client.cancel(self.instance_id, reason)

    async def terminate(self, reason: str = "") -> None:
        """End it at once, and its children, without running its code."""
        await self._client.terminate(self.instance_id, reason)

    async def suspend(self, reason: str = "") -> None:
        """Let it take no turns until resumed; messages are kept for it."""
        await self._client.suspend(self.instance_id, reason)

    async def resume(self) -> None:
        """End its suspension, or its block once what blocked it is mended."""
        await self._client.resume(self.instance_id)


def outcome_error(info: InstanceInfo) -> OrchestrationError:
    """Make the error for an instance that ended other than Completed."""
    kinds: dict[InstanceStatus, type[OrchestrationError]] = {
        InstanceStatus.CANCELLED: OrchestrationCancelledError,
        InstanceStatus.TERMINATED: OrchestrationTerminatedError,
        InstanceStatus.TIMED_OUT: OrchestrationTimedOutError,
    }
    kind = kinds.get(info.status, OrchestrationError)
    failure = info.failure
    why = "" if failure is None else f": {failure.type}: {failure.message}"
    return kind(
        f"Orchestration {info.name} {info.instance!r} ended as {info.status.value}{why}",
        failure,
    )
