"""One controller at a time: a Lease in the cluster, taken, renewed, and given back.

The holder writes the time of its last renewal; others take the Lease when they have *seen no
change* for its whole duration, measured by their own clock, so no two clocks need agree. The
holder must renew within two thirds of that; when it cannot, it stops before anybody else may start.

That leaves a short while in which a stopped process that wakes up again believes itself the leader.
What it may then do is harmless by other means: starts and cancels carry tokens that are derived
from the object, so that doing them twice does them once, and status is applied as a whole from what
the database says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from perdure_operator.cluster import Cluster, ClusterError
from perdure_operator.objects import Object, field_of

__all__ = ["Leadership", "LeadershipLost", "lead"]

_log = logging.getLogger("perdure.operator.leader")

_DURATION_SECONDS = 15
_DEADLINE_SECONDS = 10
_RETRY_SECONDS = 2.0
_API = "/apis/coordination.k8s.io/v1/namespaces"


class LeadershipLost(Exception):  # noqa: N818  it is no error of anybody's
    """Somebody else leads now, or might: this process must end."""


@dataclass(slots=True)
class Leadership:
    """The Lease as this process last saw it."""

    cluster: Cluster
    namespace: str
    name: str
    identity: str
    is_held: bool = False
    _lease: Object | None = None
    _seen: object = None
    _seen_at: float = 0.0

    @property
    def path(self) -> str:
        """Where the Lease is."""
        return f"{_API}/{self.namespace}/leases/{self.name}"

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        said = ""
        while True:
            try:
                if await self._try():
                    self.is_held = True
                    return
                holder = str(field_of(self._lease, "spec", "holderIdentity") or "nobody")
                if holder != said:
                    _log.info("standing by: %s leads", holder)
                    said = holder
            except ClusterError as error:
                _log.warning("cannot look at the lease: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def hold(self) -> None:
        """Renew for ever.

        Raises:
            LeadershipLost: It was taken, or could not be renewed in time.
        """
        clock = asyncio.get_running_loop().time
        renewed = clock()
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                async with asyncio.timeout(renewed + _DEADLINE_SECONDS - clock()):
                    is_ours = await self._try()
            except TimeoutError as error:
                raise self._lost("it could not be renewed in time") from error
            except ClusterError as error:
                _log.warning("cannot renew the lease: %s", error)
                if clock() - renewed > _DEADLINE_SECONDS:
                    raise self._lost("it could not be renewed in time") from error
                continue
            if not is_ours:
                holder = field_of(self._lease, "spec", "holderIdentity")
                raise self._lost(f"{holder} holds it now")
            renewed = clock()

    def _lost(self, why: str) -> LeadershipLost:
        self.is_held = False
        return LeadershipLost(f"lost the lease {self.namespace}/{self.name}: {why}")

    async def release(self) -> None:
        """Give the Lease back, so that the next need not wait for it to run out."""
        if not self.is_held:
            return
        self.is_held = False
        try:
            await self._write("", transitions=False)
        except ClusterError as error:
            _log.warning("could not give the lease back: %s", error)

    async def _try(self) -> bool:
        """Take or renew; False while it is somebody else's."""
        self._lease = await self.cluster.find(self.path)
        if self._lease is None:
            return await self._create()
        holder = field_of(self._lease, "spec", "holderIdentity") or ""
        mark = (holder, field_of(self._lease, "spec", "renewTime"))
        now = asyncio.get_running_loop().time()
        if mark != self._seen:
            self._seen, self._seen_at = mark, now
        seconds = field_of(self._lease, "spec", "leaseDurationSeconds")
        duration = seconds if isinstance(seconds, int) else _DURATION_SECONDS
        is_free = not holder or now - self._seen_at > duration
        if holder != self.identity and (self.is_held or not is_free):
            return False
        return await self._write(self.identity, transitions=holder != self.identity)

    async def _create(self) -> bool:
        now = _now()
        body: Object = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": _DURATION_SECONDS,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }
        try:
            self._lease = await self.cluster.create(f"{_API}/{self.namespace}/leases", body)
        except ClusterError as error:
            if error.is_conflict:
                return False
            raise
        return True

    async def _write(self, holder: str, *, transitions: bool) -> bool:
        """Write on condition that nobody did since it was read."""
        if self._lease is None:
            return False
        now = _now()
        spec = dict(cast("Object", self._lease.get("spec") or {}))
        spec |= {
            "holderIdentity": holder,
            "leaseDurationSeconds": _DURATION_SECONDS if holder else 1,
            "renewTime": now,
        }
        if transitions:
            count = spec.get("leaseTransitions")
            spec["leaseTransitions"] = (count if isinstance(count, int) else 0) + 1
            spec["acquireTime"] = now
        try:
            body: Object = {**self._lease, "spec": spec}
            self._lease = await self.cluster.replace(self.path, body)
        except ClusterError as error:
            if error.is_conflict:
                return False
            raise
        return True


async def lead(leadership: Leadership, work: Callable[[], Awaitable[None]]) -> None:
    """Wait for the Lease, work while it is held, give it back.

    Raises:
        LeadershipLost: It was lost; `work` was cancelled.
    """
    await leadership.acquire()
    _log.info("leading as %s", leadership.identity)
    try:
        holding = asyncio.create_task(leadership.hold(), name="lease")
        working = asyncio.ensure_future(work())
        try:
            await asyncio.wait((holding, working), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (holding, working):
                task.cancel()
            await asyncio.wait((holding, working))
        for task in (holding, working):
            if not task.cancelled() and (error := task.exception()):
                raise error
    finally:
        await leadership.release()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
