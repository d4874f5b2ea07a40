"""Which definitions a process has, by name and version."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from perdure.errors import DefinitionError, NotRegisteredError
from perdure.model.limits import DEFAULT_LIMITS, Limits
from perdure.replay.definitions import Activity, OrchestrationDef
from perdure.replay.versions import check_version, version_key

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Registry"]


_DEFINITIONS: tuple[type[Any], ...] = (Activity, OrchestrationDef)


class Registry:
    """Orchestrations by name and version, activities by name."""

    def __init__(
        self,
        *definitions: Activity[..., Any] | OrchestrationDef[..., Any],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Hold these definitions, and what their runs may use.

        Raises:
            DefinitionError: two have the same name and version, or one cannot be.
        """
        self._orchestrations: dict[str, dict[str, OrchestrationDef[..., Any]]] = {}
        self._latest: dict[str, OrchestrationDef[..., Any]] = {}
        self.limits = limits
        """Of runs, where whoever takes their turns sets no others."""
        self._activities: dict[str, Activity[..., Any]] = {}
        self.add(*definitions)

    def add(self, *definitions: Activity[..., Any] | OrchestrationDef[..., Any]) -> Self:
        """Add definitions; the very same one twice is once.

        Raises:
            DefinitionError: another has the name (and version), or annotations do not resolve.
        """
        for definition in definitions:
            if not isinstance(definition, _DEFINITIONS):
                msg = (
                    f"a registry holds activities and orchestrations, not {definition!r}: "
                    "decorate it with @activity or @orchestration"
                )
                raise DefinitionError(msg)
            definition.signature.resolve()
            if isinstance(definition, Activity):
                self._add_activity(definition)
            else:
                self._add_orchestration(definition)
        return self

    def _add_activity(self, activity: Activity[..., Any]) -> None:
        found = self._activities.setdefault(activity.name, activity)
        if found.fn is not activity.fn:
            msg = (
                f"activity {activity.name!r} is defined twice: at {found.place} and at "
                f"{activity.place}; give one of them another name="
            )
            raise DefinitionError(msg)

    def _add_orchestration(self, definition: OrchestrationDef[..., Any]) -> None:
        name, version = definition.name, definition.version
        versions = self._orchestrations.setdefault(name, {})
        found = versions.setdefault(version, definition)
        if found.fn is not definition.fn:
            msg = (
                f"orchestration {name!r} version {version} is defined twice: at {found.place} and "
                f"at {definition.place}; give the newer one a higher version="
            )
            raise DefinitionError(msg)
        self._latest[name] = versions[max(versions, key=version_key)]

    @classmethod
    def from_module(cls, *modules: ModuleType) -> Self:
        """Hold every definition found among the modules' names."""
        registry = cls()
        given: tuple[Any, ...] = modules
        for module in given:
            if not isinstance(module, ModuleType):
                msg = f"Registry.from_module takes modules, not {module!r}: import it first"
                raise DefinitionError(msg)
            found: list[Any] = list(vars(module).values())
            for value in found:
                if isinstance(value, _DEFINITIONS):
                    registry.add(value)
                elif isinstance(value, Registry):
                    registry.merge(value)
        return registry

    def merge(self, *others: Registry) -> Self:
        """Add everything of other registries, and take their limits where this one sets none.

        Raises:
            DefinitionError: two definitions have the same name and version, or two of the
                registries set different limits.
        """
        for other in others:
            self.add(*other.orchestrations, *other.activities)
            if DEFAULT_LIMITS not in (self.limits, other.limits) and self.limits != other.limits:
                msg = f"two registries set different limits: {self.limits} and {other.limits}"
                raise DefinitionError(msg)
            if other.limits != DEFAULT_LIMITS:
                self.limits = other.limits
        return self

    @property
    def orchestrations(self) -> tuple[OrchestrationDef[..., Any], ...]:
        """All orchestrations, by name and then by version."""
        return tuple(self._ordered())

    def _ordered(self) -> Iterator[OrchestrationDef[..., Any]]:
        for name in sorted(self._orchestrations):
            versions = self._orchestrations[name]
            for version in sorted(versions, key=version_key):
                yield versions[version]

    @property
    def activities(self) -> tuple[Activity[..., Any], ...]:
        """All activities, by name."""
        return tuple(self._activities[name] for name in sorted(self._activities))

    def code(self) -> tuple[tuple[str, str], ...]:
        """Return name and version of every orchestration: what this process can replay."""
        return tuple((each.name, each.version) for each in self._ordered())

    def resolve(self, name: str, version: str | None = None) -> OrchestrationDef[..., Any]:
        """Find an orchestration: exactly `version`, or the latest.

        Raises:
            NotRegisteredError: there is none; the message lists what there is.
        """
        if version is None:
            latest = self._latest.get(name)
            if latest is not None:
                return latest
            known = ", ".join(sorted(self._orchestrations)) or "none"
            msg = f"orchestration {name!r} is not registered here; registered are: {known}"
            raise NotRegisteredError(msg)
        found = self._orchestrations.get(name, {}).get(version)
        if found is None:
            check_version(f"orchestration {name!r}", version)
            versions = sorted(self._orchestrations.get(name, {}), key=version_key)
            known = ", ".join(versions) or "none"
            msg = (
                f"orchestration {name!r} version {version} is not registered here; registered "
                f"versions are: {known}. Keep old versions until no instance runs them"
            )
            raise NotRegisteredError(msg)
        return found

    def activity(self, name: str) -> Activity[..., Any]:
        """Find an activity.

        Raises:
            NotRegisteredError: there is none; the message lists what there is.
        """
        found = self._activities.get(name)
        if found is None:
            known = ", ".join(sorted(self._activities)) or "none"
            msg = f"activity {name!r} is not registered here; registered are: {known}"
            raise NotRegisteredError(msg)
        return found
