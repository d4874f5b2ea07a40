"""The client's verbs under the names that duroxide gave them.

Each is one call of the verb beside it; `docs/seed-names.md` has them side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Unpack, overload

from perdure.client.administration import Administration
from perdure.client.handle import InstanceHandle
from perdure.client.queries import Where
from perdure.client.reading import Reading
from perdure.client.sending import Sending
from perdure.client.starting import Starting
from perdure.model.codec import encode
from perdure.model.events import Event
from perdure.providers.administering import (
    Deleted,
    ExecutionInfo,
    InstanceSize,
    Pruned,
    Retired,
    Totals,
)
from perdure.providers.reading import InstanceInfo, InstanceStatus, TagBacklog
from perdure.replay.definitions import OrchestrationDef

__all__ = ["SeedNames"]


class SeedNames(Starting, Sending, Reading, Administration):
    """For those who come from duroxide."""

    # ------------------------------------------------------------------ starting

    async def start_orchestration(
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., Any] | str,
        arguments: Mapping[str, object] | None = None,
    ) -> InstanceHandle[Any]:
        """`start`, with an id, and arguments in a mapping.

        An id that is taken is success, as it was there: the handle is on what is there.
        """
        return await self._start_as(instance_id, orchestration, arguments, None)

    async def start_orchestration_versioned(
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., Any] | str,
        version: str,
        arguments: Mapping[str, object] | None = None,
    ) -> InstanceHandle[Any]:
        """`start_orchestration` of exactly this version."""
        return await self._start_as(instance_id, orchestration, arguments, version)

    async def start_orchestration_typed[R](
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., R],
        *args: object,
        **kwargs: object,
    ) -> InstanceHandle[R]:
        """`start_orchestration` by definition, with its own arguments and result."""
        return await self.start(
            orchestration, *args, instance_id=instance_id, on_conflict="attach", **kwargs
        )

    async def start_orchestration_versioned_typed[R](
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., R],
        version: str,
        *args: object,
        **kwargs: object,
    ) -> InstanceHandle[R]:
        """`start_orchestration_typed` of exactly this version."""
        definition = orchestration.options(version=version)
        return await self.start(
            definition, *args, instance_id=instance_id, on_conflict="attach", **kwargs
        )

    async def _start_as(
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., Any] | str,
        arguments: Mapping[str, object] | None,
        version: str | None,
    ) -> InstanceHandle[Any]:
        if isinstance(orchestration, str):
            text = encode(dict(arguments or {}), what=f"the arguments of {orchestration!r}")
            return await self.start_named(
                orchestration, text, version=version, instance_id=instance_id, on_conflict="attach"
            )
        definition = orchestration if version is None else orchestration.options(version=version)
        return await self.start(
            definition, instance_id=instance_id, on_conflict="attach", **(arguments or {})
        )

    # ------------------------------------------------------------------ sending

    async def raise_event_typed(self, instance_id: str, name: str, data: object) -> None:
        """`raise_event`: data always has a type here."""
        await self.raise_event(instance_id, name, data)

    async def enqueue_event_typed(self, instance_id: str, queue: str, data: object) -> None:
        """`enqueue_event`: data always has a type here."""
        await self.enqueue_event(instance_id, queue, data)

    async def raise_event_persistent(self, instance_id: str, queue: str, data: object) -> None:
        """`enqueue_event`, by its old name."""
        await self.enqueue_event(instance_id, queue, data)

    async def cancel_instance(self, instance_id: str, reason: str = "") -> None:
        """`cancel`."""
        await self.cancel(instance_id, reason)

    # ------------------------------------------------------------------ waiting and reading

    async def get_orchestration_status(self, instance_id: str) -> InstanceInfo | None:
        """`get`, with None where there is no such instance."""
        return (await self._read([self.get_handle(instance_id).instance_id]))[0]

    async def wait_for_orchestration(
        self,
        instance_id: str,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """Wait until it has ended, however it did; see `wait_ended` and `InstanceHandle.result`.

        Raises:
            ResultTimeoutError: It has not within `timeout` (seconds).
        """
        return await self.get_handle(instance_id).ended(timeout)

    @overload
    async def wait_for_orchestration_typed[R](
        self, instance_id: str, result_type: type[R], timeout: timedelta | float | None = None
    ) -> R: ...
    @overload
    async def wait_for_orchestration_typed(
        self, instance_id: str, result_type: Any, timeout: timedelta | float | None = None
    ) -> Any: ...
    async def wait_for_orchestration_typed(
        self,
        instance_id: str,
        result_type: Any,
        timeout: timedelta | float | None = None,
    ) -> Any:
        """`InstanceHandle.result`."""
        return await self.get_handle(instance_id, result_type).result(timeout)

    async def wait_for_status_change(
        self,
        instance_id: str,
        last_seen_version: int,
        timeout: timedelta | float | None = None,
    ) -> InstanceInfo:
        """`wait_status_change`."""
        return await self.wait_status_change(instance_id, last_seen_version, timeout)

    async def get_kv_value(self, instance_id: str, key: str) -> Any:
        """`get_key`."""
        return await self.get_key(instance_id, key)

    async def get_kv_value_typed[T](self, instance_id: str, key: str, as_type: type[T]) -> T | None:
        """`get_key` with a type."""
        return await self.get_key(instance_id, key, as_type)

    async def get_kv_all_values(self, instance_id: str) -> dict[str, Any]:
        """`get_keys`."""
        return await self.get_keys(instance_id)

    async def wait_for_kv_value(
        self,
        instance_id: str,
        key: str,
        timeout: timedelta | float | None = None,
    ) -> Any:
        """`wait_key`."""
        return await self.wait_key(instance_id, key, object, timeout)

    async def wait_for_kv_value_typed[T](
        self,
        instance_id: str,
        key: str,
        as_type: type[T],
        timeout: timedelta | float | None = None,
    ) -> T:
        """`wait_key` with a type."""
        return await self.wait_key(instance_id, key, as_type, timeout)

    # ------------------------------------------------------------------ management

    def has_management_capability(self) -> bool:
        """True: every provider can."""
        return True

    async def list_all_instances(self) -> list[InstanceInfo]:
        """All of `list`, in memory: for few instances."""
        return [info async for info in self.list()]

    async def list_instances_by_status(self, status: InstanceStatus | str) -> list[InstanceInfo]:
        """All of `list(statuses=[status])`, in memory: for few instances."""
        return [info async for info in self.list(statuses=[status])]

    async def get_instance_info(self, instance_id: str) -> InstanceInfo:
        """`get`."""
        return await self.get(instance_id)

    async def get_execution_info(self, instance_id: str, execution: int) -> ExecutionInfo | None:
        """Return one of `executions`; None where it is not kept."""
        found = await self.executions(instance_id)
        return next((one for one in found if one.execution == execution), None)

    async def list_executions(self, instance_id: str) -> list[int]:
        """Return the numbers of `executions`."""
        return [one.execution for one in await self.executions(instance_id)]

    async def read_execution_history(self, instance_id: str, execution: int) -> tuple[Event, ...]:
        """`history` of one execution."""
        return await self.history(instance_id, execution=execution)

    async def get_system_metrics(self) -> Totals:
        """`totals`."""
        return await self.totals()

    async def get_queue_depths(self) -> Sequence[TagBacklog]:
        """`backlog`."""
        return await self.backlog()

    async def get_instance_tree(self, instance_id: str) -> Sequence[InstanceInfo]:
        """`tree`."""
        return await self.tree(instance_id)

    async def get_orchestration_stats(self, instance_id: str) -> InstanceSize:
        """`size`."""
        return await self.size(instance_id)

    async def delete_instance(self, instance_id: str, force: bool = False) -> Deleted:
        """`delete`."""
        return await self.delete(instance_id, force=force)

    async def delete_instance_bulk(
        self, *, finished_before: datetime, limit: int = 1000
    ) -> Retired:
        """`retire`."""
        return await self.retire(finished_before=finished_before, limit=limit)

    async def prune_executions(
        self,
        instance_id: str,
        *,
        keep_last: int | None = None,
        completed_before: datetime | None = None,
    ) -> Pruned:
        """`prune`."""
        return await self.prune(instance_id, keep_last=keep_last, finished_before=completed_before)

    async def prune_executions_bulk(
        self,
        *,
        keep_last: int | None = None,
        completed_before: datetime | None = None,
        **where: Unpack[Where],
    ) -> Pruned:
        """`prune_many`."""
        return await self.prune_many(
            keep_last=keep_last, executions_finished_before=completed_before, **where
        )
