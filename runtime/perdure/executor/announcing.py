"""Telling of a process: that it is there, what it can run, how busy it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from perdure.errors import ProviderError
from perdure.model.ids import ExecutorId
from perdure.providers.protocol import Provider
from perdure.providers.reading import ExecutorInfo, Role
from perdure.providers.work import CodeId
from perdure.replay.registry import Registry

__all__ = ["Announcer", "about"]

_EVERY_SECONDS = 15.0
_LOOK_SECONDS = 2.0


def about(
    executor: ExecutorId, role: Role, registry: Registry, *, name: str, build: str
) -> ExecutorInfo:
    """Say what a process is."""
    return ExecutorInfo(
        executor=executor,
        role=role,
        name=name,
        build=build,
        code=tuple(CodeId(each, version) for each, version in registry.code()),
        activities=tuple(activity.name for activity in registry.activities),
    )


class Announcer:
    """Announces every few seconds, and sooner when a process begins to drain.

    Args:
        provider: Whom to tell.
        tell: What to say; one for each dispatcher of the process.
    """

    def __init__(self, provider: Provider, tell: Sequence[Callable[[], ExecutorInfo]]) -> None:
        self._provider = provider
        self._tell = tell

    async def run(self, beat: Callable[[], None] | None = None) -> None:
        """Announce until cancelled; calls `beat` every other second or so, if there is one."""
        told_at, told_draining = float("-inf"), False
        loop = asyncio.get_running_loop()
        while True:
            if beat is not None:
                beat()
            infos = [tell() for tell in self._tell]
            is_draining = any(info.draining for info in infos)
            if loop.time() - told_at >= _EVERY_SECONDS or is_draining != told_draining:
                with suppress(ProviderError):
                    for info in infos:
                        await self._provider.announce(info)
                    told_at, told_draining = loop.time(), is_draining
            await asyncio.sleep(_EVERY_SECONDS if beat is None else _LOOK_SECONDS)

    async def withdraw(self) -> None:
        """Tell that the process is gone; what was not told is forgotten after a minute."""
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                for tell in self._tell:
                    await self._provider.withdraw(tell().executor)
