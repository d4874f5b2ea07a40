"""The controller while it leads: everything that puts keys into the queue, and who takes them out.

::

    kopf: objects, Deployments ─┐
    database: change feed ──────┤
    census: who is alive ───────┼─▶ work queue ─▶ reconcile (see, decide, act)
    ConfigMaps that pools run ──┤
    resync: everything ─────────┘
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from perdure.errors import PerdureError, ProviderError
from perdure.model.ids import InstanceId
from perdure_operator.api.v1alpha1 import KINDS
from perdure_operator.apply import Hands
from perdure_operator.cluster import Cluster, ClusterError
from perdure_operator.database import Database
from perdure_operator.default_pools import DefaultPools
from perdure_operator.index import Index, Key
from perdure_operator.metrics import Metrics
from perdure_operator.observe import Eyes
from perdure_operator.observed import Fleet
from perdure_operator.outbox import Outbox
from perdure_operator.plan.orchestration import Rules
from perdure_operator.queue import WorkQueue
from perdure_operator.reconcile import Reconciler
from perdure_operator.recorder import Recorder
from perdure_operator.render import PodDefaults
from perdure_operator.settings import Settings
from perdure_operator.status import StatusWriter

__all__ = ["Controller", "wait_for_kinds"]

_log = logging.getLogger("perdure.operator.controller")

type Watch = Callable[[Sequence[str], Callable[[Key], None]], Awaitable[None]]

_STRANDED_AGAIN_SECONDS = 30.0
_WATCH_RETRY_SECONDS = 5.0
_CRD_RETRY_SECONDS = 5.0
_ABSENCE_MIN = timedelta(seconds=15)


async def wait_for_kinds(cluster: Cluster, say: Callable[[str], None]) -> None:
    """Wait until the API server knows our kinds: watching what is not there yet finds it never."""
    while True:
        missing: list[str] = []
        for kind in KINDS:
            try:
                await cluster.get(f"/apis/perdure.dev/v1alpha1/{kind.plural}?limit=1")
            except ClusterError as error:
                # A controller of some namespaces may not list all; the kind is known though.
                if error.is_missing:
                    missing.append(kind.crd)
                elif not error.is_forbidden:
                    missing.append(f"{kind.crd} ({error})")
        if not missing:
            return
        message = (
            f"waiting for definitions: {', '.join(missing)}. Install the chart with "
            "crds.enabled=true, or run kubectl apply -f crds/"
        )
        _log.warning(message)
        say(message)
        await asyncio.sleep(_CRD_RETRY_SECONDS)


@dataclass(slots=True)
class Controller:
    """Everything that works while this process leads."""

    cluster: Cluster
    database: Database
    settings: Settings
    metrics: Metrics
    watch: Watch
    index: Index = field(default_factory=Index)
    queue: WorkQueue[Key] = field(default_factory=WorkQueue[Key])
    heard_at: float = 0.0
    _is_absence_told: bool = False
    _stranded: tuple[frozenset[str], float] = (frozenset(), 0.0)

    async def run(self) -> None:
        """Work until cancelled, or until something that must go on has ended."""
        self.heard_at = asyncio.get_running_loop().time()
        reconciler = self._reconciler()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_objects(), name="watch")
                group.create_task(
                    self.database.run(on_change=self._changed, on_return=self._returned),
                    name="database",
                )
                group.create_task(self._take_census(), name="census")
                group.create_task(self._watch_code(), name="code")
                group.create_task(self._resync(), name="resync")
                group.create_task(self._make_default_pools(), name="default pools")
                group.create_task(
                    self.queue.serve(self.settings.concurrency, reconciler.work), name="queue"
                )
        except* PerdureError as errors:
            raise errors.exceptions[0] from errors

    def _reconciler(self) -> Reconciler:
        settings = self.settings
        outbox = Outbox(self.cluster, self.database, settings.namespace)
        return Reconciler(
            eyes=Eyes(self.cluster, self.database),
            hands=Hands(self.cluster, self.database, outbox, self.metrics),
            writer=StatusWriter.of(self.cluster, self.metrics, settings),
            recorder=Recorder(self.cluster, self.metrics, settings.identity),
            queue=self.queue,
            index=self.index,
            metrics=self.metrics,
            rules=Rules(blocked=settings.blocked),
            defaults=PodDefaults(
                image=settings.executor_image,
                image_pull_policy=settings.image_pull_policy,
                database_secret=settings.database_secret,
                database_secret_key=settings.database_secret_key,
                schema=settings.schema,
                log_level=settings.log_level,
            ),
        )

    def refresh(self) -> None:
        """Bring the gauges up to date."""
        now = asyncio.get_running_loop().time()
        self.metrics.depth.set(len(self.queue))
        self.metrics.age.set(self.queue.oldest_seconds())
        self.metrics.events_age.set(now - self.heard_at if self.heard_at else 0.0)
        self.metrics.database_up.set(0 if self.database.down else 1)
        for kind, count in self.index.counts().items():
            self.metrics.objects.labels(kind).set(count)

    async def _watch_objects(self) -> None:
        await self.watch(self.settings.watch_namespaces, self._heard)

    def _heard(self, key: Key) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        self.index.add(key)
        self.queue.add(key)

    def _changed(self, instances: Sequence[InstanceId]) -> None:
        for instance in instances:
            if key := self.index.owner_of(instance):
                self.queue.add(key)

    def _returned(self) -> None:
        """The database is back: whatever waited for it goes on."""
        for key in self.index.unsettled():
            self.queue.add(key)

    async def _take_census(self) -> None:
        """Count who is alive; look at the objects for which that makes a difference."""
        outbox = Outbox(self.cluster, self.database, self.settings.namespace)
        while True:
            self._tell_of_absence()
            if self.database.down is None:
                try:
                    before = self.database.fleet
                    await self._compare(before, await self.database.count())
                    await outbox.pay()
                except (ProviderError, ClusterError) as error:
                    _log.warning("the census failed: %s", error)
            await asyncio.sleep(self.settings.census_seconds)

    def _tell_of_absence(self) -> None:
        """Have every object say so once the database has been away for a while."""
        down = self.database.down
        if down is None:
            self._is_absence_told = False
        elif not self._is_absence_told and datetime.now(UTC) - down.since > _ABSENCE_MIN:
            self._is_absence_told = True
            for key in self.index.unsettled():
                self.queue.add(key)

    async def _compare(self, before: Fleet | None, after: Fleet) -> None:
        if before is None or _numbers(before) != _numbers(after):
            for key in self.index.of_kind("ExecutorPool", "ReplayPool"):
                self.queue.add(key)
        if before is None or (before.code, before.tags) != (after.code, after.tags):
            for key in self.index.unsettled():
                self.queue.add(key)
            return
        await self._find_stranded(after)

    async def _find_stranded(self, fleet: Fleet) -> None:
        """Look at objects whose activities wait for a tag that nobody serves."""
        tags = frozenset(
            one.tag for one in fleet.backlog if one.ready and one.tag not in fleet.tags
        )
        now = asyncio.get_running_loop().time()
        known, at = self._stranded
        if not tags or (tags == known and now - at < _STRANDED_AGAIN_SECONDS):
            self._stranded = (tags, at) if tags else (tags, 0.0)
            return
        self._stranded = (tags, now)
        for activity in await self.database.read_activities(self.index.live_instances()):
            if activity.tag in tags and (key := self.index.owner_of(activity.instance)):
                self.queue.add(key)

    async def _make_default_pools(self) -> None:
        if not self.settings.default_pools:
            return
        pools = DefaultPools(self.cluster, self.settings.namespace, self.settings.default_pools)
        while True:
            try:
                await pools.make()
            except (ClusterError, ValueError) as error:
                _log.warning("cannot make the default pools: %s", error)
                await asyncio.sleep(_WATCH_RETRY_SECONDS)
            else:
                await asyncio.sleep(self.settings.resync_seconds)

    async def _resync(self) -> None:
        """Look at everything now and then: what was missed is found."""
        while True:
            await asyncio.sleep(self.settings.resync_seconds)
            for key in self.index.unsettled():
                self.queue.add(key)

    async def _watch_code(self) -> None:
        """Watch the ConfigMaps that pools run, and no others."""
        watches: dict[tuple[str, str], asyncio.Task[None]] = {}
        try:
            while True:
                wanted = set(self.index.config_maps())
                for gone in watches.keys() - wanted:
                    watches.pop(gone).cancel()
                for new in wanted - watches.keys():
                    watches[new] = asyncio.create_task(self._watch_config_map(*new))
                await asyncio.sleep(1.0)
        finally:
            for task in watches.values():
                task.cancel()
            await asyncio.gather(*watches.values(), return_exceptions=True)

    async def _watch_config_map(self, namespace: str, name: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        while True:
            with contextlib.suppress(ClusterError, OSError, TimeoutError):
                async with contextlib.aclosing(self.cluster.watch_metadata(path, name)) as changes:
                    async for _ in changes:
                        for key in self.index.config_maps().get((namespace, name), ()):
                            self.queue.add(key)
            await asyncio.sleep(_WATCH_RETRY_SECONDS)


def _numbers(fleet: Fleet) -> object:
    """What pools show of the fleet."""
    return (
        sorted((one.info.name, one.info.busy, one.info.slots) for one in fleet.executors),
        sorted((one.tag, one.ready, one.leased) for one in fleet.backlog),
    )
