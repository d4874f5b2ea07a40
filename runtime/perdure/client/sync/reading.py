"""Written by tools/sync_client.py from `perdure.client.reading`; do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Unpack, overload

from perdure.client.queries import Where
from perdure.client.sync.base import SyncBase
from perdure.model.events import Event
from perdure.providers.reading import (
    InstanceInfo,
    InstancePage,
    InstanceStatus,
    ListInstances,
    TagBacklog,
)

__all__ = ["SyncReading"]


class SyncReading(SyncBase):
    """`perdure.client.reading`, for code without an event loop."""

    def get(self, instance_id: str) -> InstanceInfo:
        """Read one instance; raises `InstanceNotFoundError`."""
        return self._runner.run(self._client.get(instance_id))

    def wait_ended(self, instance_id: str) -> InstanceInfo:
        """Wait until an instance has ended, however it did; raises `InstanceNotFoundError`."""
        return self._runner.run(self._client.wait_ended(instance_id))

    def watch(self, instance_id: str) -> Iterator[InstanceInfo]:
        """Yield the instance as it is now and whenever it has changed, until it has ended.

        A change is one of status, execution, custom status or block. One that is over within a
        moment may be missed; the last state never is. Raises `InstanceNotFoundError`.
        """
        return self._runner.iterate(self._client.watch(instance_id))

    def wait_status_change(
        self, instance_id: str, seen: int, timeout: timedelta | float | None = None
    ) -> InstanceInfo:
        """Wait until the custom status has been set after version `seen`, or the instance ended.

        Raises:
            InstanceNotFoundError: There is no such instance.
            ResultTimeoutError: Neither happened within `timeout` (seconds).
        """
        return self._runner.run(self._client.wait_status_change(instance_id, seen, timeout))

    def history(self, instance_id: str, *, execution: int | None = None) -> tuple[Event, ...]:
        """Read the events of one execution, or of all; raises `InstanceNotFoundError`."""
        return self._runner.run(self._client.history(instance_id, execution=execution))

    def list(self, *, page_size: int = 100, **where: Unpack[Where]) -> Iterator[InstanceInfo]:
        """Yield instances, newest first, reading them page by page.

        Raises:
            CallerError: a condition cannot be.
        """
        return self._runner.iterate(self._client.list(page_size=page_size, **where))

    def list_page(self, query: ListInstances) -> InstancePage:
        """Read one page of instances."""
        return self._runner.run(self._client.list_page(query))

    def count(self, **where: Unpack[Where]) -> Mapping[InstanceStatus, int]:
        """Count instances by status; statuses that none has are left out."""
        return self._runner.run(self._client.count(**where))

    def backlog(self) -> Sequence[TagBacklog]:
        """Count what waits for executors, by tag."""
        return self._runner.run(self._client.backlog())

    @overload
    def get_key[T](self, instance_id: str, key: str, as_type: type[T]) -> T | None: ...

    @overload
    def get_key(self, instance_id: str, key: str) -> Any: ...

    def get_key(self, instance_id: str, key: str, as_type: Any = object) -> Any:
        """Read one value of an instance's key-value map; None where there is none.

        Raises:
            PayloadError: it does not fit `as_type`.
        """
        return self._runner.run(self._client.get_key(instance_id, key, as_type))

    def get_keys(self, instance_id: str) -> dict[str, Any]:
        """Read the whole map as plain JSON values; empty where there is none."""
        return self._runner.run(self._client.get_keys(instance_id))

    def wait_key[T](
        self, instance_id: str, key: str, as_type: type[T], timeout: timedelta | float | None = None
    ) -> T:
        """Wait until a key is set.

        Raises:
            ResultTimeoutError: It was not within `timeout` (seconds).
            PayloadError: it does not fit `as_type`.
        """
        return self._runner.run(self._client.wait_key(instance_id, key, as_type, timeout))
