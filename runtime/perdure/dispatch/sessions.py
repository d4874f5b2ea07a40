"""The sessions of one executor: owned from the first activity of theirs that it takes.

Fetching makes an executor the owner; all that is left is to stay it, which one call does for all
its sessions, and to let go when the process drains. Which sessions those are only storage knows;
here it matters whether there are any, for an executor without a session asks nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from perdure.dispatch.settings import ActivitySettings
from perdure.dispatch.storage import Storage
from perdure.errors import ProviderError
from perdure.model.ids import ExecutorId
from perdure.providers.work import LeasedActivity, SessionTerms
from perdure.telemetry import Metrics

__all__ = ["Sessions"]

_LOG = logging.getLogger("perdure.activities")


class Sessions:
    """Keeps the sessions of `executor` on the terms of `settings`."""

    def __init__(
        self,
        storage: Storage,
        executor: ExecutorId,
        settings: ActivitySettings,
        metrics: Metrics,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._metrics = metrics
        self.terms: SessionTerms | None = None
        """What fetching asks with; None: for no activity of a session."""
        if settings.sessions_max > 0:
            self.terms = SessionTerms(
                settings.sessions_max, settings.sessions_lease, settings.sessions_idle
            )
        self._owns_any = False
        self._renew_at = 0.0

    def note(self, fetched: Iterable[LeasedActivity]) -> None:
        """Learn from what was fetched whether there are sessions to keep."""
        if self._owns_any or self.terms is None:
            return
        if any(each.options is not None and each.options.session is not None for each in fetched):
            self._owns_any = True
            self._renew_at = asyncio.get_running_loop().time() + self._third

    async def keep(self) -> None:
        """Renew what is owned, if it is time; to be called every few seconds."""
        now = asyncio.get_running_loop().time()
        if not self._owns_any or self.terms is None or now < self._renew_at:
            return
        try:
            owned = await self._storage.call(
                "renew_sessions",
                partial(self._storage.provider.renew_sessions, self._executor, self.terms),
            )
        except ProviderError as error:
            _LOG.warning("sessions were not renewed: %s", error)
            return
        self._owns_any = bool(owned)
        self._renew_at = now + self._third
        self._metrics.set("perdure_sessions", len(owned))

    async def release(self) -> None:
        """Own none any more: others may take them at once."""
        if not self._owns_any:
            return
        self._owns_any = False
        self.terms = None
        try:
            await self._storage.call(
                "release_sessions", partial(self._storage.provider.release_sessions, self._executor)
            )
        except ProviderError as error:
            _LOG.warning("sessions were not released (%s): their leases will run out", error)
        self._metrics.set("perdure_sessions", 0)

    @property
    def _third(self) -> float:
        return 0.0 if self.terms is None else self.terms.lease.total_seconds() / 3
