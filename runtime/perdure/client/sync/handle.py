"""Written by tools/sync_client.py from `perdure.client.handle`; do not edit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from perdure.client.handle import PATIENCE, InstanceHandle
from perdure.model.events import Event
from perdure.providers.reading import InstanceInfo

if TYPE_CHECKING:
    from perdure.client.sync.runner import Runner

__all__ = ["SyncInstanceHandle"]


class SyncInstanceHandle[R]:
    """An instance by its id; see `InstanceHandle`."""

    def __init__(self, runner: Runner, handle: InstanceHandle[R]) -> None:
        self._runner = runner
        self._handle = handle
        self.instance_id = handle.instance_id

    def __repr__(self) -> str:
        return f"SyncInstanceHandle({self.instance_id!r})"

    def result(self, timeout: timedelta | float | None = None) -> R:
        """Wait for the result, for `timeout` (seconds) at most.

        Raises:
            OrchestrationError: It ended as Failed; subclasses for Cancelled, Terminated, TimedOut.
            ResultTimeoutError: It has not ended in that time; it goes on.
            InstanceNotFoundError: There is no such instance.
            PayloadError: The result does not fit the type that was declared.
        """
        return self._runner.run(self._handle.result(timeout))

    def ended(self, timeout: timedelta | float | None = None) -> InstanceInfo:
        """Wait until it has ended, however it did, for `timeout` (seconds) at most.

        Raises:
            ResultTimeoutError: It has not ended in that time; it goes on.
            InstanceNotFoundError: There is no such instance.
        """
        return self._runner.run(self._handle.ended(timeout))

    def status(self) -> InstanceInfo:
        """Read the instance as it is now; raises `InstanceNotFoundError`."""
        return self._runner.run(self._handle.status())

    def history(self) -> tuple[Event, ...]:
        """Read all its events so far, oldest first."""
        return self._runner.run(self._handle.history())

    def raise_event(self, name: str, data: object = None) -> None:
        """Raise an event: it is consumed by the next wait for that name, whenever that comes.

        Raises:
            InstanceFinishedError: The instance has ended.
            InboxFullError: Too many messages wait for it.
            PayloadError: `data` has no JSON form.
        """
        self._runner.run(self._handle.raise_event(name, data))

    def enqueue_event(self, queue: str, data: object = None) -> None:
        """Put an item into one of its queues; raises like `raise_event`."""
        self._runner.run(self._handle.enqueue_event(queue, data))

    @overload
    def query[T](
        self,
        name: str,
        /,
        *,
        result_type: type[T],
        timeout: timedelta = PATIENCE,
        **arguments: object,
    ) -> T: ...

    @overload
    def query(self, name: str, /, *, timeout: timedelta = PATIENCE, **arguments: object) -> Any: ...

    def query(self, name: str, /, **arguments: Any) -> Any:
        """Ask one of its handlers for something it knows; see `Client.query`."""
        return self._runner.run(self._handle.query(name, **arguments))

    @overload
    def update[T](
        self,
        name: str,
        /,
        *,
        result_type: type[T],
        update_id: str | None = None,
        timeout: timedelta | None = PATIENCE,
        **arguments: object,
    ) -> T: ...

    @overload
    def update(
        self,
        name: str,
        /,
        *,
        update_id: str | None = None,
        timeout: timedelta | None = PATIENCE,
        **arguments: object,
    ) -> Any: ...

    def update(self, name: str, /, **arguments: Any) -> Any:
        """Ask one of its handlers to do something; see `Client.update`."""
        return self._runner.run(self._handle.update(name, **arguments))

    @overload
    def get_key[T](self, key: str, as_type: type[T]) -> T | None: ...

    @overload
    def get_key(self, key: str) -> Any: ...

    def get_key(self, key: str, as_type: Any = object) -> Any:
        """Read one value of its key-value map; see `Client.get_key`."""
        return self._runner.run(self._handle.get_key(key, as_type))

    def watch(self) -> Iterator[InstanceInfo]:
        """Yield it as it is now and whenever it has changed, until it has ended."""
        return self._runner.iterate(self._handle.watch())

    def cancel(self, reason: str = "") -> None:
        """Ask it to cancel: its code may clean up. Nothing happens to one that has ended."""
        self._runner.run(self._handle.cancel(reason))

    def terminate(self, reason: str = "") -> None:
        """End it at once, and its children, without running its code."""
        self._runner.run(self._handle.terminate(reason))

    def suspend(self, reason: str = "") -> None:
        """Let it take no turns until resumed; messages are kept for it."""
        self._runner.run(self._handle.suspend(reason))

    def resume(self) -> None:
        """End its suspension, or its block once what blocked it is mended."""
        self._runner.run(self._handle.resume())
