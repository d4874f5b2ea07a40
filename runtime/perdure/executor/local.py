"""Everything in one process: for `perdure run`, tests, and embedding in an application."""

from __future__ import annotations

import asyncio
import platform
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Self

from perdure.client import Client
from perdure.dispatch import ActivityDispatcher, ActivitySettings, TurnDispatcher, TurnSettings
from perdure.executor.announcing import Announcer, about
from perdure.model.ids import UNTAGGED
from perdure.providers.protocol import Provider
from perdure.providers.reading import ExecutorInfo, Role
from perdure.replay.registry import Registry
from perdure.telemetry import Metrics

__all__ = ["LocalRuntime"]

_HAND_BACK_SECONDS = 10.0


class LocalRuntime:
    """Takes turns and runs activities in this process, and has a `client`.

    Args:
        provider: Storage, connected already, and left open at the end.
        registry: The definitions.
        turns: How turns are taken; None for a process of activities alone.
        activities: How activities are run; None for a process of turns alone. Without tags of
            its own (the default) it takes every tag that a registered activity names.
        metrics: Where to count.
        name: What the process announces itself as; by default the host's name.
        build: Which build of the code this is.
        dice: For waits and jitter; a simulation brings its own, seeded.
        draw: Makes ids and tokens of so many random bits; a simulation brings its own.

    Leaving the block drains: running activities may finish for `activities.drain`, what is left
    is handed back.
    """

    def __init__(
        self,
        provider: Provider,
        registry: Registry,
        *,
        turns: TurnSettings | None = TurnSettings(),  # noqa: B008  frozen
        activities: ActivitySettings | None = ActivitySettings(tags=()),  # noqa: B008  frozen
        metrics: Metrics | None = None,
        name: str | None = None,
        build: str = "",
        dice: random.Random | None = None,
        draw: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.client = Client(provider)
        self.turns: TurnDispatcher | None = None
        self.activities: ActivityDispatcher | None = None
        self._registry = registry
        self._name = platform.node() if name is None else name
        self._build = build
        tell: list[Callable[[], ExecutorInfo]] = []
        if turns is not None:
            self.turns = TurnDispatcher(
                provider, registry, turns, build=build, metrics=self.metrics, dice=dice, draw=draw
            )
            tell.append(self._about_turns(self.turns))
        if activities is not None:
            activities = replace(activities, tags=activities.tags or _tags_of(registry))
            self.activities = ActivityDispatcher(
                provider,
                registry,
                activities,
                client=self.client,
                metrics=self.metrics,
                dice=dice,
                draw=draw,
            )
            tell.append(self._about_activities(self.activities, activities))
        self._announcer = Announcer(provider, tell)
        self._tasks: list[asyncio.Task[None]] = []
        self._drain_seconds = _HAND_BACK_SECONDS
        if activities is not None:
            self._drain_seconds += (activities.drain + activities.cancel_grace).total_seconds()

    def _about_turns(self, turns: TurnDispatcher) -> Callable[[], ExecutorInfo]:
        info = about(
            turns.executor, Role.REPLAY, self._registry, name=self._name, build=self._build
        )
        return lambda: replace(info, busy=turns.busy)

    def _about_activities(
        self, activities: ActivityDispatcher, settings: ActivitySettings
    ) -> Callable[[], ExecutorInfo]:
        info = about(
            activities.executor, Role.ACTIVITY, self._registry, name=self._name, build=self._build
        )
        info = replace(info, tags=settings.tags, slots=settings.slots)
        return lambda: replace(info, busy=activities.busy)

    async def __aenter__(self) -> Self:
        for dispatcher in (self.turns, self.activities):
            if dispatcher is not None:
                self._tasks.append(asyncio.create_task(dispatcher.run()))
        self._tasks.append(asyncio.create_task(self._announcer.run(), name="perdure-announce"))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            drains = [
                asyncio.create_task(dispatcher.drain())
                for dispatcher in (self.activities, self.turns)
                if dispatcher is not None
            ]
            if drains:
                # Storage may be away; what is not handed in then, leases give back.
                await asyncio.wait(drains, timeout=self._drain_seconds)
            for drain in drains:
                drain.cancel()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.client.close()
            await self._announcer.withdraw()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                task.result()


def _tags_of(registry: Registry) -> tuple[str, ...]:
    tags = {activity.tag for activity in registry.activities}
    return (UNTAGGED, *sorted(tags - {UNTAGGED}))
