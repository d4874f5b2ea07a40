"""The circle: see, decide, act, until there is nothing left to do; then write the status, once."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from perdure.errors import PerdureError
from perdure_operator.api.v1alpha1 import (
    API_VERSION,
    KINDS,
    ExecutorPoolResource,
    OrchestrationResource,
    ReplayPoolResource,
)
from perdure_operator.cluster import ClusterError
from perdure_operator.index import Key
from perdure_operator.observe import Eyes, instances_of
from perdure_operator.plan.orchestration import Rules, is_settled, plan_orchestration
from perdure_operator.plan.pool import plan_pool
from perdure_operator.plan.steps import ApplyObject

if TYPE_CHECKING:
    from perdure.providers.work import EnqueueOutcome
    from perdure_operator.api.v1alpha1 import Kind, Metadata
    from perdure_operator.apply import Hands
    from perdure_operator.index import Index
    from perdure_operator.metrics import Metrics
    from perdure_operator.objects import Object
    from perdure_operator.plan.steps import Plan
    from perdure_operator.queue import WorkQueue
    from perdure_operator.recorder import Recorder
    from perdure_operator.render import PodDefaults
    from perdure_operator.status import StatusWriter

__all__ = ["Reconciler"]

_log = logging.getLogger("perdure.operator.reconcile")

_ROUNDS_MAX = 5
_REFUSED = {400, 403, 422}
_KINDS = {kind.name: kind for kind in KINDS}


class NotSettlingError(PerdureError):
    """A plan asked for steps again and again; the object is left for a while."""


@dataclass(slots=True)
class Reconciler:
    """Brings one object at a time to what its manifest asks for."""

    eyes: Eyes
    hands: Hands
    writer: StatusWriter
    recorder: Recorder
    queue: WorkQueue[Key]
    index: Index
    metrics: Metrics
    rules: Rules
    defaults: PodDefaults
    uids: dict[Key, str] = field(default_factory=dict[Key, str])

    async def work(self, key: Key) -> None:
        """Reconcile an object; whatever fails is logged and tried again later. Never raises."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            again = await self._reconcile(key)
        except (ClusterError, PerdureError, ValidationError) as error:
            self._failed(key, error)
            return
        except Exception as error:  # noqa: BLE001  the edge of the loop: one object must not end it
            _log.exception("%s: unexpected", key)
            self._failed(key, error)
            return
        finally:
            self.metrics.seconds.labels(key.kind).observe(clock() - began)
        self.queue.succeeded(key)
        self.metrics.reconciles.labels(key.kind, "ok").inc()
        if again is not None:
            self.queue.add(key, again)

    def _failed(self, key: Key, error: Exception) -> None:
        if isinstance(error, ClusterError) and error.is_busy:
            self.writer.slow_down()
        wait = self.queue.failed(key)
        self.metrics.retries.inc()
        self.metrics.reconciles.labels(key.kind, "error").inc()
        _log.warning("%s: %s; again in %.1f s", key, error, wait)

    async def _reconcile(self, key: Key) -> float | None:
        """Reconcile; returns after how many seconds to look again."""
        kind = _KINDS[key.kind]
        start: EnqueueOutcome | None = None
        refused: str | None = None
        for _ in range(_ROUNDS_MAX):
            body = await self.eyes.cluster.find(kind.path(key.namespace, key.name))
            if body is None:
                self._gone(key)
                return None
            meta, plan = await self._look(key, kind, body, start, refused)
            if not plan.steps:
                return await self._write(kind, meta, plan)
            try:
                start = await self.hands.take(kind, meta, plan.steps) or start
            except ClusterError as error:
                is_ours = any(isinstance(step, ApplyObject) for step in plan.steps)
                if not is_ours or error.status not in _REFUSED:
                    raise
                refused = error.message
            await self._post(kind, meta, plan)
        raise NotSettlingError(f"{key}: still not settled after {_ROUNDS_MAX} rounds")

    async def _look(
        self,
        key: Key,
        kind: Kind,
        body: Object,
        start: EnqueueOutcome | None,
        refused: str | None,
    ) -> tuple[Metadata, Plan]:
        now = datetime.now(UTC)
        resource = kind.model.model_validate(body)
        match resource:
            case OrchestrationResource():
                self.index.note(
                    key, instances=instances_of(resource), is_settled=is_settled(resource)
                )
                self.uids[key] = resource.metadata.uid
                seen = await self.eyes.orchestration(resource, start)
                return resource.metadata, plan_orchestration(seen, now, self.rules)
            case ExecutorPoolResource() | ReplayPoolResource():
                code = resource.spec.code
                self.index.note(key, config_map=code.config_map if code else None)
                self.uids[key] = resource.metadata.uid
                pool = await self.eyes.pool(resource, refused)
                return resource.metadata, plan_pool(pool, now, self.defaults)
            case _:
                raise TypeError(f"no reconciler for {kind.name}")

    async def _write(self, kind: Kind, meta: Metadata, plan: Plan) -> float | None:
        again = plan.again
        if plan.status is None:
            self.metrics.suppressed.inc()
            return again.total_seconds() if again else None
        now = asyncio.get_running_loop().time()
        wait = await self.writer.write(kind, meta, plan.status, plan.urgency, now)
        if wait:
            return min(wait, again.total_seconds()) if again else wait
        await self._post(kind, meta, plan)
        return again.total_seconds() if again else None

    async def _post(self, kind: Kind, meta: Metadata, plan: Plan) -> None:
        now = asyncio.get_running_loop().time()
        for note in plan.notes:
            await self.recorder.post(API_VERSION, kind.name, meta, note, now)

    def _gone(self, key: Key) -> None:
        self.index.forget(key)
        self.queue.forget(key)
        if uid := self.uids.pop(key, None):
            self.writer.forget(uid)
