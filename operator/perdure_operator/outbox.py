"""Instances to terminate once the database is back.

An Orchestration that is deleted while the database is away may not hold up its namespace for ever,
so it is let go, and what is still owed is written into a ConfigMap beside the controller: it
survives the controller, and whoever leads next pays it.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.model.ids import InstanceId
from perdure.providers.work import Control, ControlVerb
from perdure_operator.objects import field_of

if TYPE_CHECKING:
    from perdure_operator.cluster import Cluster
    from perdure_operator.database import Database

__all__ = ["Outbox"]

_log = logging.getLogger("perdure.operator.outbox")

_NAME = "perdure-deferred"


@dataclass(slots=True)
class Outbox:
    """The ConfigMap; one key for each instance."""

    cluster: Cluster
    database: Database
    namespace: str

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps/{_NAME}"

    async def defer(self, instance: InstanceId) -> None:
        """Remember an instance."""
        owed = await self._read()
        await self._write(owed | {_key(instance): instance})

    async def pay(self) -> None:
        """Terminate what is owed; what cannot be now stays."""
        owed = await self._read()
        if not owed:
            return
        commands = [
            Control(InstanceId(instance), ControlVerb.TERMINATE, "the Orchestration was deleted")
            for instance in owed.values()
        ]
        outcomes = await self.database.store.control(commands)
        for instance, outcome in zip(owed.values(), outcomes, strict=True):
            _log.info("terminated late: %s (%s)", instance, outcome.value)
        await self.cluster.delete(self._path)

    async def _read(self) -> dict[str, str]:
        data = field_of(await self.cluster.find(self._path), "data")
        if not isinstance(data, dict):
            return {}
        return {key: str(text) for key, text in data.items()}

    async def _write(self, owed: dict[str, str]) -> None:
        await self.cluster.apply(
            self._path,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": _NAME,
                    "namespace": self.namespace,
                    "labels": {"app.kubernetes.io/managed-by": "perdure-operator"},
                },
                "data": dict(owed),
            },
        )


def _key(instance: InstanceId) -> str:
    return hashlib.sha256(instance.encode()).hexdigest()[:40]
