"""One measurement: set the stage, warm up, count, run, count again, clear away."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from perdure.cli.bench import app
from perdure.cli.bench.measurement import CpuSeconds, Measurement, PeakMemory, latency
from perdure.cli.bench.processes import Spawned, cpu_seconds, peak_memory_mb, spawn
from perdure.cli.bench.server import Database, Server, difference
from perdure.cli.bench.workloads import RESULT_SECONDS_MAX, Stage, Workload, start_all
from perdure.client import Client
from perdure.errors import ConfigurationError
from perdure.providers.postgres import PostgresProvider
from perdure.providers.postgres.migrate import migrate
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import Role

__all__ = ["Plan", "measure"]

APP = "perdure.cli.bench.app"
SCHEMA = "perdure"
WARM_UP_INSTANCES = 20
# Longer than the second in which a connection of Postgres may keep its counts to itself.
SETTLE_SECONDS = 1.2
READY_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how."""

    workload: Workload
    n: int
    repeat: int
    slots: int | None
    tell: Callable[[str], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class _Theatre:
    stage: Stage
    replay: Spawned
    executor: Spawned


async def measure(server: Server, plan: Plan) -> Measurement:
    """Measure one workload once, in a database made for it and dropped afterwards."""
    async with server.fresh_database(SCHEMA) as database:
        await migrate(database.url, schema=SCHEMA)
        async with _theatre(database, plan) as theatre:
            plan.tell("warming up")
            await _warm_up(theatre.stage)
            before = await database.counters()
            cpu_before = _cpu(theatre)
            load = f"{os.getloadavg()[0]:.1f}"
            plan.tell("running")
            sample = await plan.workload.run(theatre.stage, plan.n)
            cpu = _cpu_difference(cpu_before, _cpu(theatre))
            memory = _memory(theatre)
        counted = sample.counted or difference(before, await database.counters())
    settings, server_version = await server.describe()
    settings["load_average"] = load
    if plan.slots is not None:
        settings["slots"] = str(plan.slots)
    return Measurement(
        workload=plan.workload.name,
        repeat=plan.repeat,
        n=sample.n,
        seconds=round(sample.seconds, 4),
        per_second=round(sample.n / sample.seconds, 1) if sample.is_rate else None,
        latency_ms=latency(sample.latencies) if sample.latencies else None,
        transactions=counted.transactions,
        statements=counted.statements,
        wal_bytes=counted.wal_position,
        cpu_seconds=CpuSeconds(**cpu, postgres=counted.cpu_seconds),
        rss_mb=memory,
        detail=sample.detail,
        calls=counted.calls,
        settings=settings,
        versions=_versions(server_version),
    )


@asynccontextmanager
async def _theatre(database: Database, plan: Plan) -> AsyncGenerator[_Theatre]:
    """Start the processes and the client; when the block ends all their connections are closed."""
    slots = [] if plan.slots is None else ["--slots", str(plan.slots)]
    with (
        spawn("replayer", ["--app", APP], _environment(database)) as replay,
        spawn("executor", ["--app", APP, *slots], _environment(database)) as executor,
    ):
        async with PostgresProvider(
            database.url, schema=SCHEMA, application_name="perdure-bench"
        ) as provider:
            plan.tell("starting processes")
            await _ready(provider, (replay, executor))
            async with Client(provider) as client:
                stage = Stage(client=client, provider=provider, database=database)
                yield _Theatre(stage=stage, replay=replay, executor=executor)


def _environment(database: Database) -> dict[str, str]:
    """Settings of a process; the address holds a password, so it is no argument."""
    return {
        "PERDURE_DATABASE_URL": database.url,
        "PERDURE_SCHEMA": SCHEMA,
        "PERDURE_PROBE_PORT": str(_free_port()),
        "PERDURE_LOG_LEVEL": "WARNING",
        "PERDURE_LOG_FORMAT": "text",
        "PYTHONHASHSEED": "0",
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def _ready(provider: ClientProvider, processes: tuple[Spawned, ...]) -> None:
    """Wait until a replayer and an executor have announced themselves."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            while True:
                for process in processes:
                    process.check()
                roles = {live.info.role for live in await provider.read_executors()}
                if roles >= {Role.REPLAY, Role.ACTIVITY}:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise ConfigurationError(
            f"The replayer and the executor were not ready after {READY_SECONDS_MAX:.0f} s"
        ) from error


async def _warm_up(stage: Stage) -> None:
    handles = await start_all(
        lambda number: stage.client.start(app.hello, number), WARM_UP_INSTANCES
    )
    await asyncio.gather(*(handle.result(timeout=RESULT_SECONDS_MAX) for handle in handles))
    await stage.database.checkpoint()
    await asyncio.sleep(SETTLE_SECONDS)
    last = await stage.client.start(app.hello, 0)
    await last.result(timeout=RESULT_SECONDS_MAX)


def _cpu(theatre: _Theatre) -> dict[str, float | None]:
    return {
        "client": cpu_seconds(os.getpid()),
        "replay": cpu_seconds(theatre.replay.pid),
        "executor": cpu_seconds(theatre.executor.pid),
    }


def _cpu_difference(
    before: dict[str, float | None], after: dict[str, float | None]
) -> dict[str, float | None]:
    return {
        name: None if start is None or end is None else round(end - start, 2)
        for (name, start), end in zip(before.items(), after.values(), strict=True)
    }


def _memory(theatre: _Theatre) -> PeakMemory:
    return PeakMemory(
        client=peak_memory_mb(os.getpid()),
        replay=peak_memory_mb(theatre.replay.pid),
        executor=peak_memory_mb(theatre.executor.pid),
    )


def _versions(server: str) -> dict[str, str]:
    found = {"postgres": server, "python": platform.python_version(), "system": platform.platform()}
    for package in ("perdure", "asyncpg", "pydantic", "uvloop"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
