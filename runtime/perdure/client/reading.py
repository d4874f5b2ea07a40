"""Reading instances: one, many, as they change, and what they keep for others to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Unpack, overload

from perdure.client.base import ClientBase
from perdure.client.instance_ids import checked_event_name, stored_instance_id
from perdure.client.queries import Where, listing
from perdure.errors import CallerError, InstanceNotFoundError, ResultTimeoutError
from perdure.model.codec import decode
from perdure.model.events import Event, events_of
from perdure.providers.reading import (
    InstanceInfo,
    InstancePage,
    InstanceStatus,
    ListInstances,
    TagBacklog,
)

__all__ = ["Reading"]

_LOOK_FIRST_SECONDS = 0.05
_LOOK_LONGEST_SECONDS = 2.0


class Reading(ClientBase):
    """The verbs that change nothing."""

    async def get(self, instance_id: str) -> InstanceInfo:
        """Read one instance; raises `InstanceNotFoundError`."""
        info = await self._reads.submit(stored_instance_id(instance_id))
        if info is None:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        return info

    async def wait_ended(self, instance_id: str) -> InstanceInfo:
        """Wait until an instance has ended, however it did; raises `InstanceNotFoundError`."""
        return await self._waiting.ended(stored_instance_id(instance_id))

    async def watch(self, instance_id: str) -> AsyncGenerator[InstanceInfo]:
        """Yield the instance as it is now and whenever it has changed, until it has ended.

        A change is one of status, execution, custom status or block. One that is over within a
        moment may be missed; the last state never is. Raises `InstanceNotFoundError`.
        """
        seen: object = None
        pause = _LOOK_FIRST_SECONDS
        while True:
            info = await self.get(instance_id)
            state = (
                info.status, info.execution, info.custom_status_version, info.block,
                info.cancel_requested,
            )  # fmt: skip
            if state != seen:
                seen, pause = state, _LOOK_FIRST_SECONDS
                yield info
            if info.status.is_terminal:
                return
            await self._pause(instance_id, pause)
            pause = min(pause * 1.5, _LOOK_LONGEST_SECONDS)

    async def _pause(self, instance_id: str, seconds: float) -> None:
        """Wait a while, or until the instance has ended."""
        try:
            async with asyncio.timeout(seconds):
                await self.wait_ended(instance_id)
        except TimeoutError:
            return

    async def wait_status_change(
        self,
        instance_id: str,
        seen: int,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """Wait until the custom status has been set after version `seen`, or the instance ended.

        Raises:
            InstanceNotFoundError: There is no such instance.
            ResultTimeoutError: Neither happened within `timeout` (seconds).
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        try:
            async with asyncio.timeout(seconds):
                async for info in self.watch(instance_id):
                    if info.custom_status_version > seen or info.status.is_terminal:
                        return info
        except TimeoutError as error:
            raise ResultTimeoutError(
                f"Instance {instance_id!r} has set no custom status after version {seen} within "
                f"{seconds:g} s, and goes on"
            ) from error
        raise InstanceNotFoundError(f"No instance has id {instance_id!r}")

    async def history(self, instance_id: str, *, execution: int | None = None) -> tuple[Event, ...]:
        """Read the events of one execution, or of all; raises `InstanceNotFoundError`."""
        instance = stored_instance_id(instance_id)
        records = await self._persist(
            lambda: self._provider.read_history(instance, execution=execution)
        )
        if not records:
            await self.get(instance_id)
        return tuple(events_of(records))

    # ------------------------------------------------------------------ many

    async def list(
        self, *, page_size: int = 100, **where: Unpack[Where]
    ) -> AsyncIterator[InstanceInfo]:
        """Yield instances, newest first, reading them page by page.

        Raises:
            CallerError: a condition cannot be.
        """
        after: str | None = None
        while True:
            page = await self.list_page(listing(where, limit=page_size, after=after))
            for info in page.instances:
                yield info
            after = page.next
            if after is None:
                return

    async def list_page(self, query: ListInstances) -> InstancePage:
        """Read one page of instances."""
        if query.limit < 1:
            raise CallerError(f"A page of {query.limit} instances cannot be; ask for at least 1")
        return await self._persist(lambda: self._provider.list_instances(query))

    async def count(self, **where: Unpack[Where]) -> Mapping[InstanceStatus, int]:
        """Count instances by status; statuses that none has are left out."""
        query = listing(where)
        return await self._persist(lambda: self._provider.count_instances(query))

    async def backlog(self) -> Sequence[TagBacklog]:
        """Count what waits for executors, by tag."""
        return await self._persist(self._provider.read_backlog)

    # ------------------------------------------------------------------ keys

    @overload
    async def get_key[T](self, instance_id: str, key: str, as_type: type[T]) -> T | None: ...
    @overload
    async def get_key(self, instance_id: str, key: str) -> Any: ...
    async def get_key(self, instance_id: str, key: str, as_type: Any = object) -> Any:
        """Read one value of an instance's key-value map; None where there is none.

        Raises:
            PayloadError: it does not fit `as_type`.
        """
        instance = stored_instance_id(instance_id)
        checked_event_name(key, "Key")
        found = await self._persist(lambda: self._provider.read_keys([instance], key))
        if not found[0]:
            return None
        return decode(found[0][0].value, as_type, what=f"key {key!r} of {instance_id!r}")

    async def get_keys(self, instance_id: str) -> dict[str, Any]:
        """Read the whole map as plain JSON values; empty where there is none."""
        instance = stored_instance_id(instance_id)
        found = await self._persist(lambda: self._provider.read_keys([instance]))
        return {entry.key: decode(entry.value, object) for entry in found[0]}

    async def wait_key[T](
        self,
        instance_id: str,
        key: str,
        as_type: type[T],
        timeout: timedelta | float | None = None,
    ) -> T:
        """Wait until a key is set.

        Raises:
            ResultTimeoutError: It was not within `timeout` (seconds).
            PayloadError: it does not fit `as_type`.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        instance = stored_instance_id(instance_id)
        checked_event_name(key, "Key")
        pause = _LOOK_FIRST_SECONDS
        try:
            async with asyncio.timeout(seconds):
                while True:
                    found = await self._persist(lambda: self._provider.read_keys([instance], key))
                    if found[0]:
                        what = f"key {key!r} of {instance_id!r}"
                        return decode(found[0][0].value, as_type, what=what)
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LOOK_LONGEST_SECONDS)
        except TimeoutError as error:
            raise ResultTimeoutError(
                f"Instance {instance_id!r} has not set key {key!r} within {seconds:g} s"
            ) from error
