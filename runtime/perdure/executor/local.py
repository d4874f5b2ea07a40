"""Everything in one process: for `perdure run`, tests, and embedding in an application."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Self

from perdure.client import Client
from perdure.dispatch import ActivityDispatcher, ActivitySettings, TurnDispatcher, TurnSettings
from perdure.model.ids import UNTAGGED
from perdure.providers.protocol import Provider
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
    ) -> None:
        self.metrics = metrics or Metrics()
        self.client = Client(provider)
        self.turns: TurnDispatcher | None = None
        self.activities: ActivityDispatcher | None = None
        if turns is not None:
            self.turns = TurnDispatcher(provider, registry, turns, metrics=self.metrics)
        if activities is not None:
            tags = activities.tags or _tags_of(registry)
            self.activities = ActivityDispatcher(
                provider, registry, replace(activities, tags=tags), metrics=self.metrics
            )
        self._tasks: list[asyncio.Task[None]] = []
        self._drain_seconds = _HAND_BACK_SECONDS
        if activities is not None:
            self._drain_seconds += (activities.drain + activities.cancel_grace).total_seconds()

    async def __aenter__(self) -> Self:
        for dispatcher in (self.turns, self.activities):
            if dispatcher is not None:
                self._tasks.append(asyncio.create_task(dispatcher.run()))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            await self.client.close()
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
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


def _tags_of(registry: Registry) -> tuple[str, ...]:
    tags = {activity.tag for activity in registry.activities}
    return (UNTAGGED, *sorted(tags - {UNTAGGED}))
