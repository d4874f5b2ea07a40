"""Events for people, beside the object they are about: few, and not twice."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perdure_operator.cluster import Cluster, ClusterError
from perdure_operator.plan.conditions import shorten
from perdure_operator.queue import TokenBucket

if TYPE_CHECKING:
    from perdure_operator.api.v1alpha1 import Metadata
    from perdure_operator.metrics import Metrics
    from perdure_operator.objects import Object
    from perdure_operator.plan.steps import Note

__all__ = ["Recorder"]

_log = logging.getLogger("perdure.operator.recorder")

_SAME_SECONDS = 600.0
_NOTE_MAX = 1000
_KNOWN_MAX = 4096


@dataclass(slots=True)
class Recorder:
    """Posts Events; one that was posted within ten minutes, or is too many, is left out."""

    cluster: Cluster
    metrics: Metrics
    identity: str
    bucket: TokenBucket = field(default_factory=lambda: TokenBucket(rate=5.0, burst=50))
    posted: dict[tuple[str, str, str], float] = field(
        default_factory=dict[tuple[str, str, str], float]
    )

    async def post(
        self, api_version: str, kind: str, meta: Metadata, note: Note, now: float
    ) -> None:
        """Post one. That it cannot be posted is logged and forgotten: an Event is a courtesy."""
        key = (meta.uid, note.reason, note.message)
        if now - self.posted.get(key, -_SAME_SECONDS) < _SAME_SECONDS:
            return
        if self.bucket.wait_for(now) > 0:
            return
        if len(self.posted) >= _KNOWN_MAX:
            self.posted = {k: at for k, at in self.posted.items() if now - at < _SAME_SECONDS}
        self.posted[key] = now
        path = f"/apis/events.k8s.io/v1/namespaces/{meta.namespace}/events"
        try:
            await self.cluster.create(path, self._event(api_version, kind, meta, note))
            self.metrics.events.labels(note.reason).inc()
        except ClusterError as error:
            _log.warning("cannot post an event about %s/%s: %s", meta.namespace, meta.name, error)

    def _event(self, api_version: str, kind: str, meta: Metadata, note: Note) -> Object:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta.name[:200]}.{secrets.token_hex(8)}",
                "namespace": meta.namespace,
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": "perdure.dev/operator",
            "reportingInstance": shorten(self.identity, 128),
            "action": "Reconcile",
            "reason": note.reason,
            "type": "Warning" if note.is_warning else "Normal",
            "note": shorten(note.message or note.reason, _NOTE_MAX),
            "regarding": {
                "apiVersion": api_version,
                "kind": kind,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
            },
        }
