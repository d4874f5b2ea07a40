"""Kill everything at random while work is under way, then see whether anything is missing.

    python -m tests.chaos.run --seconds 600

A Postgres that writes through to the disk, two replayers, three executors, and callers who start
runs and send to them. What is asked for and acknowledged goes to a file that nobody kills. When the
time is over everything is started once more and what is under way may finish; then storage is held
against the file.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg

from perdure.client import Client
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.testing.postgres import EmbeddedPostgres
from tests.chaos.ledger import Ledger, read_ledger
from tests.chaos.load import Load
from tests.chaos.processes import Processes
from tests.chaos.verify import Findings, verify

__all__ = ["Report", "Settings", "run_chaos"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long, how hard."""

    seconds: float = 600.0
    """How long things are killed."""
    healing: float = 120.0
    """How long what is then under way may take to finish."""
    seed: int = 0
    callers: int = 24
    replayers: int = 2
    executors: int = 3
    pause: tuple[float, float] = (0.2, 2.0)
    """Seconds from one kill to the next."""


@dataclass(slots=True)
class Report:
    """What happened."""

    settings: Settings
    kills: Counter[str] = field(default_factory=Counter[str])
    ended: Counter[str] = field(default_factory=Counter[str])
    died: list[str] = field(default_factory=list[str])
    """Processes that ended without being killed."""
    findings: Findings = field(default_factory=Findings)
    seconds: float = 0.0

    @property
    def is_well(self) -> bool:
        """True if nothing was lost, doubled or wrong."""
        return not self.findings.all and not self.died

    def __str__(self) -> str:
        """Say it in lines."""
        found = self.findings
        kills = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        ended = ", ".join(f"{count} {name}" for name, count in sorted(self.ended.items()))
        lines = [
            f"kills      {self.kills.total()}: {kills} (seed {self.settings.seed})",
            f"runs       {found.runs}: {ended}",
            f"instances  {found.instances}, with children and detached ones",
            f"events     {found.events} in their histories, {found.outcomes} of them outcomes",
            f"numbers    {found.numbers} acknowledged events, messages and updates",
            f"rows       {found.rows} of transactional activities",
            f"lost       {len(found.lost)}",
            f"doubled    {len(found.doubled)}",
            f"wrong      {len(found.wrong)}",
            f"took       {self.seconds:.0f} s",
        ]
        return "\n".join([*lines, *(f"  {each}" for each in [*found.all, *self.died])])


type Meddle = Callable[[asyncpg.Connection, Path], Awaitable[object]]
"""Spoils storage or the ledger before they are compared."""


async def run_chaos(settings: Settings, folder: Path, meddle: Meddle | None = None) -> Report:
    """Do it all; logs of processes and the ledger stay in `folder`."""
    report, began = Report(settings), time.monotonic()
    dice = random.Random(settings.seed)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(EmbeddedPostgres(settings={"max_connections": "200"}))
        await migrate(server.url)
        await _execute(
            server.url,
            "create table chaos_entry (instance text, entry text, amount int, attempt int)",
        )
        processes = Processes(
            server, folder, dice, replayers=settings.replayers, executors=settings.executors
        )
        stack.callback(processes.stop)
        processes.start()
        ledger = stack.enter_context(Ledger(folder / "ledger.jsonl"))
        client = await _client(stack, server.url)
        load = Load(client, ledger, random.Random(settings.seed + 1))
        callers = [asyncio.create_task(load.call(number)) for number in range(settings.callers)]
        await _kill_until(began + settings.seconds, processes, dice, settings.pause)
        load.finishing = True
        processes.start()
        await _finish(callers, settings.healing)
        processes.stop()
        report.kills, report.died, report.ended = processes.kills, processes.died, load.ended
        fresh = await _client(stack, server.url)
        connection = await asyncpg.connect(server.url)
        if meddle is not None:
            await meddle(connection, ledger.path)
        report.findings = await verify(fresh, connection, read_ledger(ledger.path))
        await connection.close()
    report.seconds = time.monotonic() - began
    return report


async def _client(stack: AsyncExitStack, url: str) -> Client:
    provider = await stack.enter_async_context(
        PostgresProvider(url, application_name="perdure chaos")
    )
    return await stack.enter_async_context(Client(provider, poll=timedelta(seconds=1)))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _kill_until(
    until: float, processes: Processes, dice: random.Random, pause: tuple[float, float]
) -> None:
    while (now := time.monotonic()) < until:
        await asyncio.sleep(min(dice.uniform(*pause), until - now))  # may sleep: lets work go on
        if time.monotonic() < until:
            await processes.kill_somebody()


async def _finish(callers: list[asyncio.Task[None]], seconds: float) -> None:
    """Let callers see the end of their runs; who does not is told by what is not there."""
    _, late = await asyncio.wait(callers, timeout=seconds)
    for caller in late:
        caller.cancel()
    for outcome in await asyncio.gather(*callers, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def main() -> int:
    """Run it from a shell."""
    parser = argparse.ArgumentParser(description="kill everything at random; lose nothing")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    seed = random.randrange(10_000) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="perdure-chaos-"))
    settings = Settings(seconds=arguments.seconds, seed=seed)
    print(f"killing for {settings.seconds:g} s, seed {seed}; logs in {folder}", flush=True)  # noqa: T201  a tool
    report = asyncio.run(run_chaos(settings, folder))
    print(report)  # noqa: T201  a tool
    return 0 if report.is_well else 1


if __name__ == "__main__":
    sys.exit(main())
