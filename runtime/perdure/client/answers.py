"""Waiting for answers to queries and updates, many at once.

Like `Waiting`: hints wake, and whoever waits also looks, at first often. Answers come within
milliseconds or after long, so the looks begin close together and soon grow apart.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from perdure.errors import ProviderError
from perdure.model.ids import InstanceId
from perdure.providers.administering import Answer
from perdure.providers.work import AnsweredHint, Hint, ResyncHint

__all__ = ["Answers"]

_LOOK_FIRST_SECONDS = 0.02
_LOOK_LONGEST_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class _Awaited:
    """One answer that somebody waits for."""

    look_at: float
    interval: float = _LOOK_FIRST_SECONDS
    futures: set[asyncio.Future[Answer]] = field(default_factory=set[asyncio.Future[Answer]])


class Answers:
    """Hands out answers as they come.

    Args:
        read: Reads answers of one instance; None where there is none yet.
        hints: Opens a stream of hints of some kinds.
    """

    def __init__(
        self,
        read: Callable[[InstanceId, Sequence[str]], Awaitable[Sequence[Answer | None]]],
        hints: Callable[[Collection[type[Hint]]], AsyncIterator[Hint]],
    ) -> None:
        self._read = read
        self._hints = hints
        self._awaited: dict[InstanceId, dict[str, _Awaited]] = defaultdict(dict)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def of(self, instance: InstanceId, request: str) -> Answer:
        """Wait for one answer; cancel to give up."""
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._listen(), name="perdure-client-answer-hints"),
                asyncio.create_task(self._look(), name="perdure-client-answers"),
            ]
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        awaited = self._awaited[instance].get(request)
        if awaited is None:
            look_at = _now() + _LOOK_FIRST_SECONDS
            awaited = self._awaited[instance][request] = _Awaited(look_at)
            self._wake.set()
        awaited.futures.add(future)
        try:
            return await future
        finally:
            awaited.futures.discard(future)
            if not awaited.futures:
                self._forget(instance, request, awaited)

    def _forget(self, instance: InstanceId, request: str, awaited: _Awaited) -> None:
        requests = self._awaited.get(instance)
        if requests is not None and requests.get(request) is awaited:
            del requests[request]
            if not requests:
                del self._awaited[instance]

    async def close(self) -> None:
        """Stop; whoever still waits is cancelled."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for requests in self._awaited.values():
            for awaited in requests.values():
                for future in awaited.futures:
                    future.cancel()

    async def _listen(self) -> None:
        while True:
            with suppress(ProviderError):
                async for hint in self._hints([AnsweredHint]):
                    match hint:
                        case AnsweredHint(instances=instances):
                            self._told(instances)
                        case ResyncHint():
                            self._told([*self._awaited])
                        case _:
                            pass
            await asyncio.sleep(_LOOK_LONGEST_SECONDS)

    def _told(self, instances: Collection[InstanceId]) -> None:
        for instance in instances:
            for awaited in self._awaited.get(instance, {}).values():
                awaited.look_at = 0.0
                self._wake.set()

    async def _look(self) -> None:
        while True:
            self._wake.clear()
            now = _now()
            nearest: float | None = None
            for instance, requests in [*self._awaited.items()]:
                due = [key for key, awaited in requests.items() if awaited.look_at <= now]
                if due:
                    await self._look_at(instance, due)
                for awaited in requests.values():
                    nearest = min(nearest or awaited.look_at, awaited.look_at)
            wait = None if nearest is None else max(nearest - _now(), 0.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _look_at(self, instance: InstanceId, requests: Sequence[str]) -> None:
        try:
            answers = await self._read(instance, requests)
        except ProviderError as error:
            if not error.retryable:
                for request in requests:
                    self._resolve(instance, request, error)
                return
            answers = [None] * len(requests)
        now = _now()
        for request, answer in zip(requests, answers, strict=True):
            if answer is not None:
                self._resolve(instance, request, answer)
            elif (awaited := self._awaited.get(instance, {}).get(request)) is not None:
                awaited.look_at = now + awaited.interval
                awaited.interval = min(awaited.interval * 1.5, _LOOK_LONGEST_SECONDS)

    def _resolve(self, instance: InstanceId, request: str, what: Answer | Exception) -> None:
        awaited = self._awaited.get(instance, {}).get(request)
        if awaited is None:
            return
        self._forget(instance, request, awaited)
        for future in awaited.futures:
            if future.done():
                continue
            if isinstance(what, Exception):
                future.set_exception(what)
            else:
                future.set_result(what)


def _now() -> float:
    """Read the loop's clock, which in a simulation is not the machine's."""
    return asyncio.get_running_loop().time()
