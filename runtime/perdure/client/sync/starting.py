"""Written by tools/sync_client.py from `perdure.client.starting`; do not edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, overload

from perdure.client.handle import ANY
from perdure.client.starting import OnConflict
from perdure.client.sync.base import SyncBase
from perdure.client.sync.handle import SyncInstanceHandle
from perdure.model.ids import JsonText
from perdure.replay.definitions import OrchestrationDef

__all__ = ["SyncStarting"]


class SyncStarting(SyncBase):
    """`perdure.client.starting`, for code without an event loop."""

    @overload
    def start[**P, R](
        self, definition: OrchestrationDef[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> SyncInstanceHandle[R]: ...

    @overload
    def start[R](
        self,
        definition: OrchestrationDef[..., R],
        /,
        *args: object,
        instance_id: str,
        on_conflict: OnConflict = "reject",
        connection: object | None = None,
        **kwargs: object,
    ) -> SyncInstanceHandle[R]: ...

    @overload
    def start[R](
        self,
        definition: OrchestrationDef[..., R],
        /,
        *args: object,
        connection: object,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        **kwargs: object,
    ) -> SyncInstanceHandle[R]: ...

    @overload
    def start[R](
        self,
        definition: str,
        /,
        *,
        result_type: type[R],
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        version: str | None = None,
        connection: object | None = None,
        **kwargs: object,
    ) -> SyncInstanceHandle[R]: ...

    @overload
    def start(
        self,
        definition: str,
        /,
        *,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        version: str | None = None,
        connection: object | None = None,
        **kwargs: object,
    ) -> SyncInstanceHandle[Any]: ...

    def start(
        self, definition: OrchestrationDef[Any, Any] | str, /, *args: Any, **kwargs: Any
    ) -> SyncInstanceHandle[Any]:
        """Start an orchestration; returns when that is durable.

        By its definition, with its own arguments: checkers see them. An id goes into
        `instance_id=`, or, with all arguments still checked, into
        `definition.options(instance_id=...)`, where every other option is given too. Or by its
        name, with arguments by keyword, where its code is not at hand.

        With `connection` (of the same database, in a transaction) it is started if and only if
        that transaction commits.

        Raises:
            InstanceExistsError: The id is taken, and `on_conflict` is "reject".
            PayloadError: An argument does not fit its type or is too large.
            TypeError: An argument is missing or unknown.
            ProviderError: Storage stayed away; the start may have happened or not.
        """
        return SyncInstanceHandle(
            self._runner, self._runner.run(self._client.start(definition, *args, **kwargs))
        )

    def start_named[R](
        self,
        name: str,
        arguments: JsonText,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        result_type: type[R] = ANY,
        priority: int = 0,
        attributes: Mapping[str, object] | None = None,
        limit: str | None = None,
        timeout: timedelta | None = None,
        connection: object | None = None,
    ) -> SyncInstanceHandle[R]:
        """Start by name with arguments that are JSON already: one object, by parameter name.

        Args:
            name: Of the orchestration.
            arguments: A JSON object.
            version: Exactly this version; None: the latest where its first turn is taken.
            instance_id: None makes one up.
            on_conflict: What to do when the id is taken.
            result_type: What the handle's `result` returns.
            priority: Of its activities and children; the greater goes first.
            attributes: What it is found by: strings, numbers, booleans.
            limit: It starts when the limit of this key admits it.
            timeout: The run ends as TimedOut after this time, all its executions together.
            connection: Started if and only if its transaction commits.

        Raises:
            DefinitionError: No orchestration can have that name, version, or option.
            PayloadError: `arguments` is no JSON object.
        """
        return SyncInstanceHandle(
            self._runner,
            self._runner.run(
                self._client.start_named(
                    name,
                    arguments,
                    version=version,
                    instance_id=instance_id,
                    on_conflict=on_conflict,
                    result_type=result_type,
                    priority=priority,
                    attributes=attributes,
                    limit=limit,
                    timeout=timeout,
                    connection=connection,
                )
            ),
        )

    def start_many[A, R](
        self, definition: OrchestrationDef[[A], R], inputs: Iterable[A]
    ) -> tuple[SyncInstanceHandle[R], ...]:
        """Start one instance for each input of an orchestration that takes one argument."""
        return tuple(
            SyncInstanceHandle(self._runner, one)
            for one in self._runner.run(self._client.start_many(definition, inputs))
        )

    @overload
    def get_handle[R](self, instance_id: str, result_type: type[R]) -> SyncInstanceHandle[R]: ...

    @overload
    def get_handle(self, instance_id: str) -> SyncInstanceHandle[Any]: ...

    def get_handle(self, instance_id: str, result_type: Any = object) -> SyncInstanceHandle[Any]:
        """Return a handle on an instance, whether it exists or not."""
        return SyncInstanceHandle(self._runner, self._client.get_handle(instance_id, result_type))
