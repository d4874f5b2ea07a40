"""Let go of all objects, before the controller goes for good: `python -m perdure_operator.release`.

The controller is stopped first, as it would take hold of them again; then our finalizer is taken
off every Orchestration. Runs are left as they are.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping

from perdure.errors import ConfigurationError
from perdure.telemetry import configure_logging
from perdure_operator.api.v1alpha1 import API_VERSION, ORCHESTRATION
from perdure_operator.cluster import Cluster, ClusterError
from perdure_operator.objects import Object, field_of
from perdure_operator.plan.deletion import FINALIZER

__all__ = ["release_all"]

_log = logging.getLogger("perdure.operator.release")

_STOP_SECONDS = 60.0


async def release_all(
    cluster: Cluster, *, namespace: str, deployment: str, namespaces: tuple[str, ...]
) -> int:
    """Stop the controller and release every object; returns how many there were."""
    await _stop(cluster, namespace, deployment)
    released = 0
    collections = [ORCHESTRATION.path(one) for one in namespaces] or [
        f"/apis/{API_VERSION}/{ORCHESTRATION.plural}"
    ]
    for collection in collections:
        for item in await cluster.list_all(collection):
            released += await _release(cluster, item)
    return released


async def _stop(cluster: Cluster, namespace: str, deployment: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}"
    if await cluster.find(path) is None:
        return
    body: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": deployment, "namespace": namespace},
        "spec": {"replicas": 0},
    }
    await cluster.apply(path, body)
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{deployment}"
    async with asyncio.timeout(_STOP_SECONDS):
        while True:
            pods = field_of(await cluster.find(path), "status", "replicas") or 0
            holder = field_of(await cluster.find(lease), "spec", "holderIdentity")
            if not pods and not holder:
                return
            await asyncio.sleep(0.5)


async def _release(cluster: Cluster, item: Object) -> int:
    meta, finalizers = item.get("metadata"), field_of(item, "metadata", "finalizers")
    is_held = isinstance(finalizers, list) and FINALIZER in finalizers
    if not isinstance(meta, dict) or not is_held:
        return 0
    body: Object = {
        "apiVersion": API_VERSION,
        "kind": ORCHESTRATION.name,
        "metadata": {name: meta[name] for name in ("name", "namespace", "uid")},
    }
    try:
        await cluster.apply(ORCHESTRATION.path(str(meta["namespace"]), str(meta["name"])), body)
    except ClusterError as error:
        if not error.is_missing:
            raise
    return 1


async def _main(env: Mapping[str, str]) -> int:
    namespaces = tuple(one for one in env.get("PERDURE_WATCH_NAMESPACES", "").split(",") if one)
    async with Cluster() as cluster:
        try:
            released = await release_all(
                cluster,
                namespace=env.get("PERDURE_NAMESPACE", "default"),
                deployment=env.get("PERDURE_LEASE_NAME", "perdure-operator"),
                namespaces=namespaces,
            )
        except ClusterError as error:
            if not error.is_missing:
                raise
            released = 0
    _log.info("released %d orchestrations", released)
    return 0


if __name__ == "__main__":
    configure_logging(level="info", style="text")
    try:
        sys.exit(asyncio.run(_main(os.environ)))
    except (ClusterError, ConfigurationError, TimeoutError) as error:
        sys.exit(
            f"cannot release the objects: {str(error) or 'the controller did not stop in time'}"
        )
