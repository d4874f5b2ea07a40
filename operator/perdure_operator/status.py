"""Write status: whole, by server-side apply, and no more often than the cluster bears.

A status is written only where it says something new; all objects share one budget, of which news of
progress may take least, turns of phase more, and runs that ended all of it and some besides. What
has to wait is not queued here: the object is looked at again, and then the newest is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from perdure_operator.api.v1alpha1 import API_VERSION
from perdure_operator.plan.steps import Urgency
from perdure_operator.queue import TokenBucket

if TYPE_CHECKING:
    from perdure_operator.api.v1alpha1 import Kind, Metadata
    from perdure_operator.cluster import Cluster
    from perdure_operator.metrics import Metrics
    from perdure_operator.objects import Object
    from perdure_operator.plan.steps import Status
    from perdure_operator.settings import Settings

__all__ = ["StatusWriter"]


@dataclass(slots=True)
class StatusWriter:
    """Writes status within the budget."""

    cluster: Cluster
    metrics: Metrics
    bucket: TokenBucket
    reserve: TokenBucket
    progress_seconds: float
    written: dict[str, float] = field(default_factory=dict[str, float])
    """When an object that is not settled was last written, by uid."""

    @classmethod
    def of(cls, cluster: Cluster, metrics: Metrics, settings: Settings) -> StatusWriter:
        """Make one with the budget that the settings give."""
        rate, burst = settings.status_writes_per_second, settings.status_writes_burst
        return cls(
            cluster,
            metrics,
            TokenBucket(rate, burst),
            TokenBucket(rate / 2, burst / 2),
            settings.progress_seconds,
        )

    async def write(
        self, kind: Kind, meta: Metadata, status: Status, urgency: Urgency, now: float
    ) -> float:
        """Write it and return 0, or return after how many seconds to look at the object again.

        Raises:
            ClusterError: The API server refused.
        """
        if wait := self._wait(meta, urgency, now):
            self.metrics.throttle.inc(wait)
            return wait
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": kind.name,
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "status": cast(
                "Object", status.model_dump(mode="json", by_alias=True, exclude_none=True)
            ),
        }
        await self.cluster.apply(kind.path(meta.namespace, meta.name, "status"), body)
        self.metrics.writes.labels(urgency.name.lower()).inc()
        if urgency is Urgency.TERMINAL:
            self.written.pop(meta.uid, None)
        else:
            self.written[meta.uid] = now
        return 0.0

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self.written.pop(uid, None)

    def slow_down(self) -> None:
        """The API server asked for fewer requests: begin again with an empty purse."""
        self.bucket.tokens = 0.0

    def _wait(self, meta: Metadata, urgency: Urgency, now: float) -> float:
        burst = self.bucket.burst
        match urgency:
            case Urgency.PROGRESS:
                since = now - self.written.get(meta.uid, float("-inf"))
                if since < self.progress_seconds:
                    return self.progress_seconds - since
                return self.bucket.wait_for(now, reserve=burst / 2)
            case Urgency.TRANSITION:
                return self.bucket.wait_for(now)
            case Urgency.TERMINAL:
                return self.bucket.wait_for(now) and self.reserve.wait_for(now)
