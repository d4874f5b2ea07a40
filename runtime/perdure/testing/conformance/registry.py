"""The list of checks, and how one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.testing.conformance.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perdure.testing.conformance.world import Storage

__all__ = ["Check", "check", "registered"]

type Run = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One behaviour that every provider must have."""

    area: str
    """The module that it is in: `turns`, `activities`, …"""
    name: str
    seed: tuple[str, ...]
    """Names, as `section.test`, of the tests of the engine we learned from that it stands for."""
    run: Run

    async def against(self, storage: Storage) -> None:
        """Run on an empty storage; raises `AssertionError` where the provider falls short."""
        async with storage.open() as provider:
            await self.run(World.of(storage, provider))


_CHECKS: list[Check] = []


def check(*seed: str) -> Callable[[Run], Run]:
    """Register a check, with the names of the tests that it stands for."""

    def register(run: Run) -> Run:
        area = run.__module__.rpartition(".")[2]
        _CHECKS.append(Check(area, run.__name__, seed, run))
        return run

    return register


def registered() -> tuple[Check, ...]:
    """All checks, in the order of their modules."""
    return tuple(_CHECKS)
