"""The database as the controller sees it: there or not, who is alive, what changed.

The controller must be useful while the database is away: pools still get their pods, objects say
what is wrong, and nothing that was asked for is forgotten. So the connection is made in the
background, every read works or raises `ProviderError`, and `down` says since when it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Protocol, Self

from perdure.errors import ConfigurationError, ProviderError
from perdure.model.ids import InstanceId
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo, LiveExecutor, OpenActivity, Role, TagBacklog
from perdure.providers.work import ChangedHint, CodeId, FinishedHint, ResyncHint
from perdure_operator.observed import DatabaseDown, Fleet

__all__ = ["Database", "Store"]

_log = logging.getLogger("perdure.operator.database")

_RETRY_SECONDS = 2.0
_PING_SECONDS = 5.0
_POLL_SECONDS = 2.0
_CHANGES_MAX = 1000
_LOG_AGAIN = timedelta(seconds=30)
_LINGER_SECONDS = 20.0
_BATCH_MAX = 500


class Store(ClientProvider, Protocol):
    """What the controller needs of a provider."""

    async def ping(self) -> None:
        """Raise `ProviderError` if storage cannot be reached or lacks its schema."""
        ...

    async def __aenter__(self) -> Self:
        """Connect."""
        ...

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect."""
        ...


class Database:
    """One provider, and what is known of its health and of the fleet."""

    def __init__(self, connect: Callable[[], Store]) -> None:
        """`connect` makes a provider that is not open yet; it may be called again."""
        self._connect = connect
        self._store: Store | None = None
        self.down: DatabaseDown | None = DatabaseDown(_now(), "not connected yet")
        self.fleet: Fleet | None = None
        self._code_seen: dict[CodeId, float] = {}
        self._tags_seen: dict[str, float] = {}
        self._kinds_seen: dict[tuple[str, str], float] = {}
        self._cursor = 0
        self._logged_at = datetime.min.replace(tzinfo=UTC)
        self._look = asyncio.Event()

    @property
    def store(self) -> Store:
        """The provider.

        Raises:
            ProviderError: There is no connection now.
        """
        if self._store is None:
            message = self.down.message if self.down else "not connected"
            raise ProviderError("connect", message, retryable=True)
        return self._store

    async def run(
        self, *, on_change: Callable[[Sequence[InstanceId]], None], on_return: Callable[[], None]
    ) -> None:
        """Connect, and stay connected, until cancelled.

        `on_change` gets instances that changed; `on_return` is called when the database answers
        again after it did not.
        """
        while True:
            try:
                async with self._connect() as store:
                    await store.ping()
                    self._store = store
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._watch_health(on_return))
                        group.create_task(self._read_changes(on_change))
                        group.create_task(self._listen(on_change))
            except* (ProviderError, ConfigurationError, OSError) as errors:
                self.failed(errors.exceptions[0])
            finally:
                self._store = None
            await asyncio.sleep(_RETRY_SECONDS)

    def failed(self, error: BaseException) -> None:
        """Note that the database did not do what was asked."""
        message = str(error) or type(error).__name__
        now = _now()
        is_news = self.down is None or now - self._logged_at > _LOG_AGAIN
        self.down = DatabaseDown(self.down.since if self.down else now, message)
        if is_news:
            self._logged_at = now
            _log.warning("the database does not answer: %s", message)

    async def _watch_health(self, on_return: Callable[[], None]) -> None:
        while True:
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await self.store.ping()
            except TimeoutError:
                self.failed(TimeoutError(f"no answer within {_PING_SECONDS:g} s"))
            except ProviderError as error:
                self.failed(error)
            else:
                if self.down is not None:
                    _log.info("the database answers")
                    self.down = None
                    on_return()
            await asyncio.sleep(_PING_SECONDS if self.down is None else _RETRY_SECONDS)

    async def _read_changes(self, on_change: Callable[[Sequence[InstanceId]], None]) -> None:
        """Follow the change feed: hints make it quick, the poll makes it sure."""
        while True:
            self._look.clear()
            try:
                while True:
                    changes = await self.store.read_changes(self._cursor, _CHANGES_MAX)
                    self._cursor = changes.cursor
                    on_change(changes.instances)
                    if len(changes.instances) < _CHANGES_MAX:
                        break
            except ProviderError as error:
                self.failed(error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._look.wait()

    async def _listen(self, on_change: Callable[[Sequence[InstanceId]], None]) -> None:
        while True:
            try:
                async for hint in _iterate(self.store):
                    if isinstance(hint, FinishedHint):
                        on_change(list(hint.instances))
                    if isinstance(hint, ChangedHint | ResyncHint):
                        self._look.set()
            except ProviderError as error:
                # Hints only make it quick: the poll goes on, and says if the database is away.
                _log.warning("hints are not heard: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def count(self) -> Fleet:
        """Count executors and backlog; what was served lately still counts as served."""
        executors = await self.store.read_executors()
        backlog = await self.store.read_backlog()
        self.fleet = self._fleet(executors, backlog, asyncio.get_running_loop().time())
        return self.fleet

    def _fleet(
        self, executors: Sequence[LiveExecutor], backlog: Sequence[TagBacklog], now: float
    ) -> Fleet:
        for live in executors:
            if live.info.role is Role.REPLAY:
                self._code_seen.update(dict.fromkeys(live.info.code, now))
            else:
                self._tags_seen.update(dict.fromkeys(live.info.tags, now))
                kinds = product(live.info.tags, live.info.activities)
                self._kinds_seen.update(dict.fromkeys(kinds, now))
        self._code_seen = _recent(self._code_seen, now)
        self._tags_seen = _recent(self._tags_seen, now)
        self._kinds_seen = _recent(self._kinds_seen, now)
        return Fleet(
            executors=tuple(executors),
            backlog=tuple(backlog),
            code=frozenset(self._code_seen),
            tags=frozenset(self._tags_seen),
            kinds=frozenset(self._kinds_seen),
        )

    async def read_instances(
        self, instances: Sequence[InstanceId]
    ) -> Sequence[InstanceInfo | None]:
        """Read instances; marks the database as down where that fails."""
        try:
            return await self.store.read_instances(instances)
        except ProviderError as error:
            self.failed(error)
            raise

    async def read_activities(self, instances: Sequence[InstanceId]) -> list[OpenActivity]:
        """Read open activities, in batches."""
        found: list[OpenActivity] = []
        for start in range(0, len(instances), _BATCH_MAX):
            found += await self.store.read_activities(instances[start : start + _BATCH_MAX])
        return found


def _recent[K](seen: dict[K, float], now: float) -> dict[K, float]:
    return {key: at for key, at in seen.items() if now - at <= _LINGER_SECONDS}


async def _iterate(store: Store) -> AsyncIterator[object]:
    async for hint in store.hints():
        yield hint


def _now() -> datetime:
    return datetime.now(UTC)
