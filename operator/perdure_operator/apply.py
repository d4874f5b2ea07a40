"""Act: take the steps of a plan, in their order. Each may be taken twice without harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from perdure.errors import ProviderError
from perdure_operator.api.v1alpha1 import API_VERSION, Kind, Metadata
from perdure_operator.plan.deletion import FINALIZER
from perdure_operator.plan.steps import (
    AddFinalizer,
    ApplyObject,
    DeferTermination,
    RemoveFinalizer,
    Send,
    Start,
    Steer,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from perdure.providers.work import EnqueueOutcome
    from perdure_operator.cluster import Cluster
    from perdure_operator.database import Database
    from perdure_operator.metrics import Metrics
    from perdure_operator.objects import Object
    from perdure_operator.outbox import Outbox
    from perdure_operator.plan.steps import Step

__all__ = ["Hands"]


@dataclass(slots=True)
class Hands:
    """Changes the world."""

    cluster: Cluster
    database: Database
    outbox: Outbox
    metrics: Metrics

    async def take(
        self, kind: Kind, meta: Metadata, steps: Sequence[Step]
    ) -> EnqueueOutcome | None:
        """Take the steps; returns what became of the start, if there was one.

        Raises:
            ClusterError, ProviderError: A step failed; those after it were not taken.
        """
        started: EnqueueOutcome | None = None
        for step in steps:
            match step:
                case AddFinalizer():
                    await self._finalizers(kind, meta, [FINALIZER])
                case RemoveFinalizer():
                    await self._finalizers(kind, meta, [])
                case Start(message):
                    (started,) = await self._sent(self.database.store.enqueue([message]))
                case Send(message):
                    await self._sent(self.database.store.enqueue([message]))
                case Steer(command):
                    await self._sent(self.database.store.control([command]))
                case DeferTermination(instance):
                    await self.outbox.defer(instance)
                case ApplyObject(path, body):
                    await self.cluster.apply(path, body)
                    self.metrics.requests.labels("apply").inc()
                case _ as unreachable:
                    assert_never(unreachable)
        return started

    async def _sent[T](self, call: Awaitable[T]) -> T:
        try:
            return await call
        except ProviderError as error:
            if error.retryable:
                self.database.failed(error)
            raise

    async def _finalizers(self, kind: Kind, meta: Metadata, names: list[str]) -> None:
        """Own exactly these finalizers; those of others stay. The uid guards against a namesake."""
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": kind.name,
            "metadata": {
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
                **({"finalizers": list(names)} if names else {}),
            },
        }
        await self.cluster.apply(kind.path(meta.namespace, meta.name), body)
        self.metrics.requests.labels("finalizer").inc()
