"""The pools that the chart names: made by the controller, as the chart cannot make them itself.

They are listed in a ConfigMap, belong to it, and go with it; one that is listed no more is deleted.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from perdure_operator.api.v1alpha1 import API_VERSION, EXECUTOR_POOL, REPLAY_POOL, Kind
from perdure_operator.objects import Object, field_of

if TYPE_CHECKING:
    from perdure_operator.cluster import Cluster

__all__ = ["DefaultPools"]

_log = logging.getLogger("perdure.operator.default_pools")

LABEL = "perdure.dev/default-pool-of"
_KINDS: dict[str, Kind] = {kind.name: kind for kind in (EXECUTOR_POOL, REPLAY_POOL)}


@dataclass(frozen=True, slots=True)
class DefaultPools:
    """What the ConfigMap of that name lists."""

    cluster: Cluster
    namespace: str
    config_map: str

    async def make(self) -> None:
        """Make the pools what the list says.

        Raises:
            ClusterError: The API server did not do it; ask again.
        """
        path = f"/api/v1/namespaces/{self.namespace}/configmaps/{self.config_map}"
        listed = await self.cluster.find(path)
        if listed is None:
            return
        wanted = cast("list[Object]", json.loads(str(field_of(listed, "data", "pools.json"))))
        names = {(str(pool["kind"]), str(pool["name"])) for pool in wanted}
        for pool in wanted:
            await self._apply(pool, listed)
        for kind in _KINDS.values():
            collection = kind.path(self.namespace, "")
            selector = f"{LABEL}={self.config_map}"
            for item in await self.cluster.list_all(collection, labelSelector=selector):
                name = str(field_of(item, "metadata", "name"))
                if (kind.name, name) not in names:
                    _log.info("deleting %s %s: the chart names it no more", kind.name, name)
                    await self.cluster.delete(kind.path(self.namespace, name))

    async def _apply(self, pool: Object, owner: Object) -> None:
        kind, name = _KINDS[str(pool["kind"])], str(pool["name"])
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": kind.name,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {LABEL: self.config_map},
                "ownerReferences": [
                    {
                        "apiVersion": "v1",
                        "kind": "ConfigMap",
                        "name": self.config_map,
                        "uid": field_of(owner, "metadata", "uid"),
                    }
                ],
            },
            "spec": pool["spec"],
        }
        await self.cluster.apply(kind.path(self.namespace, name), body)
