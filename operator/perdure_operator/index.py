"""What the controller remembers of objects: enough to find the one that an instance belongs to.

A few words for each object, never its body: what an object is like is read when it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure_operator.api.v1alpha1 import KindName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from perdure.model.ids import InstanceId

__all__ = ["Index", "Key"]


@dataclass(frozen=True, slots=True)
class Key:
    """Names one object."""

    kind: KindName
    namespace: str
    name: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(slots=True)
class _Entry:
    instances: tuple[InstanceId, ...] = ()
    config_map: str | None = None
    is_settled: bool = False


class Index:
    """Objects by key, by instance, and by the ConfigMap that they run."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}
        self._by_instance: dict[InstanceId, Key] = {}

    def __len__(self) -> int:
        """Objects that are known."""
        return len(self._entries)

    def note(
        self,
        key: Key,
        *,
        instances: Iterable[InstanceId] = (),
        config_map: str | None = None,
        is_settled: bool = False,
    ) -> None:
        """Remember an object as it was just seen."""
        self.forget(key)
        entry = _Entry(tuple(instances), config_map, is_settled)
        self._entries[key] = entry
        for instance in entry.instances:
            self._by_instance[instance] = key

    def add(self, key: Key) -> None:
        """Remember that there is such an object."""
        self._entries.setdefault(key, _Entry())

    def forget(self, key: Key) -> None:
        """The object is gone."""
        entry = self._entries.pop(key, None)
        for instance in entry.instances if entry else ():
            if self._by_instance.get(instance) == key:
                del self._by_instance[instance]

    def owner_of(self, instance: InstanceId) -> Key | None:
        """Find the object that shows an instance."""
        return self._by_instance.get(instance)

    def of_kind(self, *kinds: KindName) -> Iterator[Key]:
        """Every object of these kinds."""
        return iter([key for key in self._entries if key.kind in kinds])

    def unsettled(self) -> Iterator[Key]:
        """Every object about which there may still be something to do."""
        return iter([key for key, entry in self._entries.items() if not entry.is_settled])

    def live_instances(self) -> list[InstanceId]:
        """Instances that objects wait for."""
        return [
            instance
            for instance, key in self._by_instance.items()
            if not self._entries[key].is_settled
        ]

    def config_maps(self) -> dict[tuple[str, str], list[Key]]:
        """ConfigMaps that pools run, by namespace and name, with the pools."""
        found: dict[tuple[str, str], list[Key]] = {}
        for key, entry in self._entries.items():
            if entry.config_map is not None:
                found.setdefault((key.namespace, entry.config_map), []).append(key)
        return found

    def counts(self) -> dict[KindName, int]:
        """How many objects there are of each kind."""
        counts: dict[KindName, int] = {}
        for key in self._entries:
            counts[key.kind] = counts.get(key.kind, 0) + 1
        return counts
