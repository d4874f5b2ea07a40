"""One instance, in the hands of a caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

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

    async def result(self, timeout: timedelta | float | None = None) -> R:  # noqa: ASYNC109  users look for it
        """Wait for the result, for `timeout` (seconds) at most.

        Raises:
            OrchestrationError: It ended as Failed; subclasses for Cancelled, Terminated, TimedOut.
            ResultTimeoutError: It has not ended in that time; it goes on.
            InstanceNotFoundError: There is no such instance.
            PayloadError: The result does not fit the type that was declared.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                info = await self._client.wait_ended(self.instance_id)
        except TimeoutError:
            if not scope.expired():
                raise
            raise await self._still_running(seconds or 0.0) from None
        if info.status is not InstanceStatus.COMPLETED:
            raise outcome_error(info)
        return self._decode(info.output)

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
