"""Written by tools/sync_client.py from `perdure.client.seed_names`; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Unpack, overload

from perdure.client.queries import Where
from perdure.client.sync.administration import SyncAdministration
from perdure.client.sync.handle import SyncInstanceHandle
from perdure.client.sync.reading import SyncReading
from perdure.client.sync.sending import SyncSending
from perdure.client.sync.starting import SyncStarting
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

__all__ = ["SyncSeedNames"]


class SyncSeedNames(SyncStarting, SyncSending, SyncReading, SyncAdministration):
    """`perdure.client.seed_names`, for code without an event loop."""

    def start_orchestration(
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., Any] | str,
        arguments: Mapping[str, object] | None = None,
    ) -> SyncInstanceHandle[Any]:
        """`start`, with an id, and arguments in a mapping.

        An id that is taken is success, as it was there: the handle is on what is there.
        """
        return SyncInstanceHandle(
            self._runner,
            self._runner.run(
                self._client.start_orchestration(instance_id, orchestration, arguments)
            ),
        )

    def start_orchestration_versioned(
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., Any] | str,
        version: str,
        arguments: Mapping[str, object] | None = None,
    ) -> SyncInstanceHandle[Any]:
        """`start_orchestration` of exactly this version."""
        return SyncInstanceHandle(
            self._runner,
            self._runner.run(
                self._client.start_orchestration_versioned(
                    instance_id, orchestration, version, arguments
                )
            ),
        )

    def start_orchestration_typed[R](
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., R],
        *args: object,
        **kwargs: object,
    ) -> SyncInstanceHandle[R]:
        """`start_orchestration` by definition, with its own arguments and result."""
        return SyncInstanceHandle(
            self._runner,
            self._runner.run(
                self._client.start_orchestration_typed(instance_id, orchestration, *args, **kwargs)
            ),
        )

    def start_orchestration_versioned_typed[R](
        self,
        instance_id: str,
        orchestration: OrchestrationDef[..., R],
        version: str,
        *args: object,
        **kwargs: object,
    ) -> SyncInstanceHandle[R]:
        """`start_orchestration_typed` of exactly this version."""
        return SyncInstanceHandle(
            self._runner,
            self._runner.run(
                self._client.start_orchestration_versioned_typed(
                    instance_id, orchestration, version, *args, **kwargs
                )
            ),
        )

    def raise_event_typed(self, instance_id: str, name: str, data: object) -> None:
        """`raise_event`: data always has a type here."""
        self._runner.run(self._client.raise_event_typed(instance_id, name, data))

    def enqueue_event_typed(self, instance_id: str, queue: str, data: object) -> None:
        """`enqueue_event`: data always has a type here."""
        self._runner.run(self._client.enqueue_event_typed(instance_id, queue, data))

    def raise_event_persistent(self, instance_id: str, queue: str, data: object) -> None:
        """`enqueue_event`, by its old name."""
        self._runner.run(self._client.raise_event_persistent(instance_id, queue, data))

    def cancel_instance(self, instance_id: str, reason: str = "") -> None:
        """`cancel`."""
        self._runner.run(self._client.cancel_instance(instance_id, reason))

    def get_orchestration_status(self, instance_id: str) -> InstanceInfo | None:
        """`get`, with None where there is no such instance."""
        return self._runner.run(self._client.get_orchestration_status(instance_id))

    def wait_for_orchestration(
        self, instance_id: str, timeout: timedelta | float | None = None
    ) -> InstanceInfo:
        """Wait until it has ended, however it did; see `wait_ended` and `InstanceHandle.result`.

        Raises:
            ResultTimeoutError: It has not within `timeout` (seconds).
        """
        return self._runner.run(self._client.wait_for_orchestration(instance_id, timeout))

    @overload
    def wait_for_orchestration_typed[R](
        self, instance_id: str, result_type: type[R], timeout: timedelta | float | None = None
    ) -> R: ...

    @overload
    def wait_for_orchestration_typed(
        self, instance_id: str, result_type: Any, timeout: timedelta | float | None = None
    ) -> Any: ...

    def wait_for_orchestration_typed(
        self, instance_id: str, result_type: Any, timeout: timedelta | float | None = None
    ) -> Any:
        """`InstanceHandle.result`."""
        return self._runner.run(
            self._client.wait_for_orchestration_typed(instance_id, result_type, timeout)
        )

    def wait_for_status_change(
        self, instance_id: str, last_seen_version: int, timeout: timedelta | float | None = None
    ) -> InstanceInfo:
        """`wait_status_change`."""
        return self._runner.run(
            self._client.wait_for_status_change(instance_id, last_seen_version, timeout)
        )

    def get_kv_value(self, instance_id: str, key: str) -> Any:
        """`get_key`."""
        return self._runner.run(self._client.get_kv_value(instance_id, key))

    def get_kv_value_typed[T](self, instance_id: str, key: str, as_type: type[T]) -> T | None:
        """`get_key` with a type."""
        return self._runner.run(self._client.get_kv_value_typed(instance_id, key, as_type))

    def get_kv_all_values(self, instance_id: str) -> dict[str, Any]:
        """`get_keys`."""
        return self._runner.run(self._client.get_kv_all_values(instance_id))

    def wait_for_kv_value(
        self, instance_id: str, key: str, timeout: timedelta | float | None = None
    ) -> Any:
        """`wait_key`."""
        return self._runner.run(self._client.wait_for_kv_value(instance_id, key, timeout))

    def wait_for_kv_value_typed[T](
        self, instance_id: str, key: str, as_type: type[T], timeout: timedelta | float | None = None
    ) -> T:
        """`wait_key` with a type."""
        return self._runner.run(
            self._client.wait_for_kv_value_typed(instance_id, key, as_type, timeout)
        )

    def has_management_capability(self) -> bool:
        """True: every provider can."""
        return self._client.has_management_capability()

    def list_all_instances(self) -> list[InstanceInfo]:
        """All of `list`, in memory: for few instances."""
        return self._runner.run(self._client.list_all_instances())

    def list_instances_by_status(self, status: InstanceStatus | str) -> list[InstanceInfo]:
        """All of `list(statuses=[status])`, in memory: for few instances."""
        return self._runner.run(self._client.list_instances_by_status(status))

    def get_instance_info(self, instance_id: str) -> InstanceInfo:
        """`get`."""
        return self._runner.run(self._client.get_instance_info(instance_id))

    def get_execution_info(self, instance_id: str, execution: int) -> ExecutionInfo | None:
        """Return one of `executions`; None where it is not kept."""
        return self._runner.run(self._client.get_execution_info(instance_id, execution))

    def list_executions(self, instance_id: str) -> list[int]:
        """Return the numbers of `executions`."""
        return self._runner.run(self._client.list_executions(instance_id))

    def read_execution_history(self, instance_id: str, execution: int) -> tuple[Event, ...]:
        """`history` of one execution."""
        return self._runner.run(self._client.read_execution_history(instance_id, execution))

    def get_system_metrics(self) -> Totals:
        """`totals`."""
        return self._runner.run(self._client.get_system_metrics())

    def get_queue_depths(self) -> Sequence[TagBacklog]:
        """`backlog`."""
        return self._runner.run(self._client.get_queue_depths())

    def get_instance_tree(self, instance_id: str) -> Sequence[InstanceInfo]:
        """`tree`."""
        return self._runner.run(self._client.get_instance_tree(instance_id))

    def get_orchestration_stats(self, instance_id: str) -> InstanceSize:
        """`size`."""
        return self._runner.run(self._client.get_orchestration_stats(instance_id))

    def delete_instance(self, instance_id: str, force: bool = False) -> Deleted:
        """`delete`."""
        return self._runner.run(self._client.delete_instance(instance_id, force))

    def delete_instance_bulk(self, *, finished_before: datetime, limit: int = 1000) -> Retired:
        """`retire`."""
        return self._runner.run(
            self._client.delete_instance_bulk(finished_before=finished_before, limit=limit)
        )

    def prune_executions(
        self,
        instance_id: str,
        *,
        keep_last: int | None = None,
        completed_before: datetime | None = None,
    ) -> Pruned:
        """`prune`."""
        return self._runner.run(
            self._client.prune_executions(
                instance_id, keep_last=keep_last, completed_before=completed_before
            )
        )

    def prune_executions_bulk(
        self,
        *,
        keep_last: int | None = None,
        completed_before: datetime | None = None,
        **where: Unpack[Where],
    ) -> Pruned:
        """`prune_many`."""
        return self._runner.run(
            self._client.prune_executions_bulk(
                keep_last=keep_last, completed_before=completed_before, **where
            )
        )
