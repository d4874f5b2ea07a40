"""The rest of duroxide's names: its twins for types, versions and ids.

There a method comes in several: with text or with a type, at the latest version or at one, under an
id of its own or a derived one. Here types are arguments like others, and one method does; so its
twins are the method itself, or one line around it. `docs/seed-names.md` has them side by side.
"""

from __future__ import annotations

import logging
from typing import Any

from perdure.errors import DefinitionError
from perdure.model.ids import InstanceId
from perdure.replay.definitions import OrchestrationDef
from perdure.replay.futures import OperationHandle
from perdure.replay.seed_names import SeedNames

__all__ = ["SeedTwins"]

_LEVELS = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
}


class SeedTwins(SeedNames):
    """For those who come from duroxide."""

    __slots__ = ()

    schedule_activity_typed = SeedNames.schedule_activity
    schedule_activity_on_session_typed = SeedNames.schedule_activity_on_session
    schedule_activity_with_retry_typed = SeedNames.schedule_activity_with_retry
    schedule_activity_with_retry_on_session_typed = (
        SeedNames.schedule_activity_with_retry_on_session
    )
    schedule_sub_orchestration_typed = SeedNames.schedule_sub_orchestration
    schedule_orchestration_typed = SeedNames.schedule_orchestration
    schedule_wait_typed = SeedNames.schedule_wait
    dequeue_event_typed = SeedNames.dequeue_event
    schedule_wait_persistent = SeedNames.dequeue_event
    schedule_wait_persistent_typed = SeedNames.dequeue_event
    set_kv_value_typed = SeedNames.set_kv_value
    get_kv_value_typed = SeedNames.get_kv_value
    get_kv_value_from_instance_typed = SeedNames.get_kv_value_from_instance

    # ------------------------------------------------------------- ids and versions

    def schedule_sub_orchestration_with_id(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        instance_id: str,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> OperationHandle[Any]:
        """Start a child under an id of your choice: `child.options(instance_id=...)(...)`."""
        return self._child(orchestration, None, instance_id, args, kwargs)

    schedule_sub_orchestration_with_id_typed = schedule_sub_orchestration_with_id

    def schedule_sub_orchestration_versioned(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        version: str | None,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> OperationHandle[Any]:
        """Start a child at one version, None for the latest: `child.options(version=...)(...)`."""
        return self._child(orchestration, version, None, args, kwargs)

    def schedule_sub_orchestration_versioned_with_id(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        version: str | None,
        instance_id: str,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> OperationHandle[Any]:
        """Start a child at one version under an id of your choice."""
        return self._child(orchestration, version, instance_id, args, kwargs)

    def _child(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        version: str | None,
        instance_id: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> OperationHandle[Any]:
        asked: dict[str, Any] = {}
        if version is not None:
            asked["version"] = version
        if instance_id is not None:
            asked["instance_id"] = instance_id
        if isinstance(orchestration, str):
            by_name: Any = self.schedule_sub_orchestration
            started: OperationHandle[Any] = by_name(orchestration, *args, **asked, **kwargs)
            return started
        return orchestration.options(**asked)(*args, **kwargs)

    def schedule_orchestration_versioned(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        version: str | None,
        instance_id: str | None = None,
        arguments: dict[str, object] | None = None,
    ) -> InstanceId:
        """Start an instance that nobody waits for, at one version; return its id."""
        return self.schedule_orchestration(orchestration, instance_id, arguments, version=version)

    schedule_orchestration_versioned_typed = schedule_orchestration_versioned

    # ---------------------------------------------------------------- about itself

    @property
    def execution_id(self) -> int:
        """`execution`."""
        return self.execution

    @property
    def orchestration_name(self) -> str:
        """`name`."""
        return self.name

    @property
    def orchestration_version(self) -> str:
        """`version`."""
        return self.version

    @property
    def is_logging_enabled(self) -> bool:
        """False while replaying: `not is_replaying`."""
        return not self.is_replaying

    def trace(self, level: str, message: str) -> None:
        """Log at a level given by its name, silent on replay: `ctx.logger.log(...)`.

        Raises:
            DefinitionError: there is no such level.
        """
        found = _LEVELS.get(level.upper())
        if found is None:
            known = ", ".join(_LEVELS)
            msg = f"there is no level {level!r} to trace at; there are: {known}"
            raise DefinitionError(msg)
        self.logger.log(found, message, stacklevel=2)
