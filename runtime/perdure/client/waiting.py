"""Waiting for instances to end, many at once.

Storage hints when instances end. A hint may be missed, so whoever waits also looks: often at
first, seldom later. All who wait share one look: one call reads every instance that anybody waits
for and whose turn to be looked at has come, or of which a hint has told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from perdure.errors import InstanceNotFoundError, ProviderError
from perdure.model.ids import InstanceId
from perdure.providers.reading import InstanceInfo
from perdure.providers.work import FinishedHint, Hint, ResyncHint

__all__ = ["POLL", "Waiting"]

POLL = timedelta(seconds=10)

_LOOK_FIRST_SECONDS = 0.5
_LOOKS_MAX = 500
_REMEMBERED_MAX = 20_000


@dataclass(slots=True, eq=False)
class _Watched:
    """One instance that somebody waits for."""

    look_at: float
    interval: float = _LOOK_FIRST_SECONDS
    futures: set[asyncio.Future[InstanceInfo]] = field(
        default_factory=set[asyncio.Future[InstanceInfo]]
    )


class Waiting:
    """Hands out instances as they end.

    Args:
        read: Reads instances; None where there is none.
        hints: Opens a stream of hints of some kinds.
        poll: How long a hint that was lost can delay whoever waits.
    """

    def __init__(
        self,
        read: Callable[[Sequence[InstanceId]], Awaitable[Sequence[InstanceInfo | None]]],
        hints: Callable[[Collection[type[Hint]]], AsyncIterator[Hint]],
        *,
        poll: timedelta = POLL,
    ) -> None:
        self._read = read
        self._poll_seconds = poll.total_seconds()
        self._hints = hints
        self._watched: dict[InstanceId, _Watched] = {}
        self._started: dict[InstanceId, None] = {}
        """Started here, and no hint came since: looking at once would be in vain."""
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def expect(self, instance: InstanceId) -> None:
        """Note that an instance is about to be started here; waiting for it begins with hints."""
        self._open()
        self._started[instance] = None
        while len(self._started) > _REMEMBERED_MAX:
            del self._started[next(iter(self._started))]

    async def ended(self, instance: InstanceId) -> InstanceInfo:
        """Wait until an instance has ended.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        self._open()
        future: asyncio.Future[InstanceInfo] = asyncio.get_running_loop().create_future()
        watched = self._watched.get(instance)
        if watched is None:
            now = _now()
            is_fresh = self._started.pop(instance, self) is None
            look_at = now + _LOOK_FIRST_SECONDS if is_fresh else now
            watched = self._watched[instance] = _Watched(look_at)
            # A fresh one is looked at later; the looker sleeps no longer than that anyway.
            if not is_fresh or len(self._watched) == 1:
                self._wake.set()
        watched.futures.add(future)
        try:
            return await future
        finally:
            watched.futures.discard(future)
            if not watched.futures and self._watched.get(instance) is watched:
                del self._watched[instance]

    async def close(self) -> None:
        """Stop; whoever still waits is cancelled."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watched in self._watched.values():
            for future in watched.futures:
                future.cancel()

    def _open(self) -> None:
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._listen(), name="perdure-client-hints"),
                asyncio.create_task(self._look(), name="perdure-client-results"),
            ]

    async def _listen(self) -> None:
        while True:
            with suppress(ProviderError):
                async for hint in self._hints([FinishedHint]):
                    match hint:
                        case FinishedHint(instances=instances):
                            self._told(instances)
                        case ResyncHint():
                            self._started.clear()
                            self._told([*self._watched])
                        case _:
                            pass
            self._started.clear()
            await asyncio.sleep(_LOOK_FIRST_SECONDS)

    def _told(self, instances: Iterable[InstanceId]) -> None:
        found = False
        for instance in instances:
            self._started.pop(instance, None)
            watched = self._watched.get(instance)
            if watched is not None:
                watched.look_at = 0.0
                found = True
        if found:
            self._wake.set()

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            now = _now()
            due = [key for key, watched in self._watched.items() if watched.look_at <= now]
            if due:
                await self._look_at(due[:_LOOKS_MAX])
                if len(due) > _LOOKS_MAX:
                    continue
            nearest = min((w.look_at for w in self._watched.values()), default=None)
            wait = None if nearest is None else max(nearest - _now(), 0.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _look_at(self, instances: Sequence[InstanceId]) -> None:
        try:
            infos = await self._read(instances)
        except ProviderError as error:
            if not error.retryable:
                for instance in instances:
                    self._resolve(instance, error)
                return
            self._later(instances)
            return
        now = _now()
        for instance, info in zip(instances, infos, strict=True):
            if info is None:
                self._resolve(instance, InstanceNotFoundError(f"No instance has id {instance!r}"))
            elif info.status.is_terminal:
                self._resolve(instance, info)
            elif (watched := self._watched.get(instance)) is not None:
                watched.look_at = now + watched.interval
                watched.interval = min(watched.interval * 2, self._poll_seconds)

    def _later(self, instances: Sequence[InstanceId]) -> None:
        for instance in instances:
            watched = self._watched.get(instance)
            if watched is not None:
                watched.look_at = _now() + watched.interval

    def _resolve(self, instance: InstanceId, what: InstanceInfo | Exception) -> None:
        watched = self._watched.pop(instance, None)
        for future in watched.futures if watched is not None else ():
            if future.done():
                continue
            if isinstance(what, Exception):
                future.set_exception(what)
            else:
                future.set_result(what)


def _now() -> float:
    """Read the loop's clock, which in a simulation is not the machine's."""
    return asyncio.get_running_loop().time()
