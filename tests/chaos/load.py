"""The load: callers who start runs, send to them, and wait for what they come to.

A caller whose call fails because storage is away calls again, as any caller would: starts and
updates by the same id, so that nothing happens twice. An event that failed is not sent again,
since nobody knows whether it was taken: the ledger then has the wish alone.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from perdure.client import Client
from perdure.errors import (
    InstanceFinishedError,
    InstanceNotFoundError,
    ProviderError,
    ResultTimeoutError,
)
from perdure.model.codec import encode
from tests.chaos.ledger import Ledger
from tests.chaos.orchestrations import END

__all__ = ["KINDS", "Load", "Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: what it is started with, and what it has to come to."""

    kind: str
    arguments: Mapping[str, Any]
    expected: object
    """None: the numbers that were sent to it."""


def _plans(dice: random.Random) -> dict[str, Plan]:
    n = dice.randint(1, 4)
    return {
        "chain": Plan("chain", {"steps": 3 * n}, 3 * n),
        "fan": Plan("fan", {"width": 4 * n}, sum(range(1, 4 * n + 1))),
        "naps": Plan("naps", {"count": n}, n),
        "mailbox": Plan("mailbox", {}, None),
        "inbox": Plan("inbox", {"seen": []}, None),
        "account": Plan("account", {}, None),
        "family": Plan("family", {"width": 2, "depth": min(n, 3)}, 2 ** min(n, 3)),
        "counter": Plan("counter", {"left": 2 * n, "total": 0}, 2 * n),
        "purchase": Plan("purchase", {"entries": n}, 2 * n),
        "trip": Plan("trip", {"legs": n}, "undone"),
        "conversation": Plan("conversation", {"turns": 2 * n}, 2 * n),
        "launch": Plan("launch", {"count": n, "steps": 2}, ...),
    }


KINDS = tuple(_plans(random.Random(0)))


class Load:
    """Callers, until they are told to finish.

    Args:
        client: Talks to storage.
        ledger: Told of everything before it happens, and when it has.
        dice: Draws sizes and pauses.
    """

    def __init__(self, client: Client, ledger: Ledger, dice: random.Random) -> None:
        self._client = client
        self._ledger = ledger
        self._dice = dice
        self._numbers = itertools.count()
        self.finishing = False
        """True: no caller begins another run."""
        self.ended: Counter[str] = Counter()
        """Runs whose end was seen, by kind."""
        self.open: set[str] = set()
        """Runs that somebody waits for."""

    async def call(self, caller: int) -> None:
        """Be one caller: run after run, kind after kind; one at least, however slow the machine."""
        first = caller % len(KINDS)
        for turn, kind in enumerate(itertools.cycle(KINDS[first:] + KINDS[:first])):
            if self.finishing and turn > 0:
                return
            plan = _plans(self._dice)[kind]
            instance = f"{kind}-{next(self._numbers)}"
            expected = plan.expected
            if expected is ...:
                expected = [f"{instance}-detached-{n}" for n in range(plan.arguments["count"])]
            self.open.add(instance)
            await self._run(instance, plan, expected)
            self.open.discard(instance)
            self.ended[kind] += 1

    async def _run(self, instance: str, plan: Plan, expected: object) -> None:
        self._ledger.write(
            "start", instance, kind=plan.kind, arguments=dict(plan.arguments), expected=expected
        )
        text = encode(dict(plan.arguments))
        await _insist(
            lambda: self._client.start_named(
                plan.kind, text, instance_id=instance, on_conflict="attach"
            )
        )
        self._ledger.write("started", instance)
        if plan.expected is None:
            await self._talk(instance, plan.kind)
        started = expected if plan.kind == "launch" and isinstance(expected, list) else []
        for each in (instance, *started):
            with suppress(InstanceNotFoundError):  # whoever looks at everything tells of it
                await _insist(partial(self._client.wait_ended, each))

    async def _talk(self, instance: str, kind: str) -> None:
        """Send numbers one after the other, and then the end."""
        for number in range(self._dice.randint(0, 8)):
            self._ledger.write("send", instance, number=number)
            try:
                await self._send(instance, kind, number)
            except ProviderError:
                continue  # taken or not: the ledger has the wish
            self._ledger.write("sent", instance, number=number)
            await asyncio.sleep(self._dice.random() * 0.3)  # may sleep: as callers do
        await _insist(lambda: self._send(instance, kind, END))

    async def _send(self, instance: str, kind: str, number: int) -> None:
        client = self._client
        try:
            match kind:
                case "mailbox":
                    await client.raise_event(instance, "number", number)
                case "inbox":
                    await client.enqueue_event(instance, "numbers", number)
                case _ if number == END:
                    await _insist(lambda: client.update(instance, "close", update_id="close"))
                case _:
                    await _insist(
                        lambda: client.update(
                            instance, "deposit", update_id=f"deposit-{number}", number=number
                        )
                    )
        except InstanceFinishedError:
            if number != END:  # an end that was sent twice may come too late
                raise


async def _insist[T](call: Callable[[], Awaitable[T]]) -> T:
    """Call until storage is there."""
    while True:
        try:
            return await call()
        except (ProviderError, ResultTimeoutError):
            await asyncio.sleep(0.2)  # may sleep: storage is away, others are tried meanwhile
