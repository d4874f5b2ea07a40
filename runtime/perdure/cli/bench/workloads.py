"""The workloads: what each does, how many it does, and what its figures are.

The names and definitions are those of docs/benchmarks.md. All times are taken at the client, on
its monotonic clock, unless a docstring says that they are the database's.
"""

from __future__ import annotations

import asyncio
import random
import string
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from perdure.cli.bench import app
from perdure.cli.bench.measurement import latency
from perdure.cli.bench.server import Counters, Database, difference
from perdure.client import Client, InstanceHandle
from perdure.model.records import RecordKind
from perdure.providers.protocol import ClientProvider

__all__ = ["WORKLOADS", "Sample", "Stage", "Workload", "start_all"]

CALLERS = 16
RESULT_SECONDS_MAX = 300.0
_PAUSE_SECONDS = (0.010, 0.060)
_TIMERS_PER_SECOND = 20
_PAYLOAD_CHARACTERS = 100_000
_PROCESSES = 2  # replay and executor: the client has nothing to do when idle


@dataclass(frozen=True, slots=True)
class Stage:
    """What a workload plays on."""

    client: Client
    provider: ClientProvider
    database: Database


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a workload saw."""

    n: int
    seconds: float
    latencies: Sequence[float] = ()
    """In seconds."""
    detail: Mapping[str, float] = field(default_factory=dict[str, float])
    counted: Counters | None = None
    """Where the workload counted a stretch of its own."""
    is_rate: bool = True
    """Whether n / seconds means anything."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload by name."""

    name: str
    title: str
    n: int
    run: Callable[[Stage, int], Awaitable[Sample]]


async def start_all[R](
    start: Callable[[int], Awaitable[InstanceHandle[R]]], n: int
) -> list[InstanceHandle[R]]:
    """Start `n` instances by `CALLERS` concurrent callers, each of whom waits for each start."""
    handles: list[InstanceHandle[R]] = []
    numbers = iter(range(n))

    async def caller() -> None:
        for number in numbers:
            handles.append(await start(number))  # noqa: PERF401  in the order of the answers

    async with asyncio.TaskGroup() as group:
        for _ in range(min(CALLERS, n)):
            group.create_task(caller())
    return handles


async def _results[R](handles: Sequence[InstanceHandle[R]]) -> list[R]:
    return await asyncio.gather(*(handle.result(timeout=RESULT_SECONDS_MAX) for handle in handles))


async def _burst(stage: Stage, n: int) -> Sample:
    """W1: `n` hellos at once, first start call to last result."""
    began = time.perf_counter()
    handles = await start_all(lambda number: stage.client.start(app.hello, number), n)
    started = time.perf_counter()
    await _results(handles)
    ended = time.perf_counter()
    return Sample(n=n, seconds=ended - began, detail={"start_seconds": round(started - began, 4)})


async def _idle_latency(stage: Stage, n: int) -> Sample:
    """W1lat: one hello at a time, with a pause before each."""
    submits: list[float] = []
    latencies: list[float] = []
    began = time.perf_counter()
    for number in range(n):
        await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311  jitter, not a secret
        asked = time.perf_counter()
        handle = await stage.client.start(app.hello, number)
        submits.append(time.perf_counter() - asked)
        await handle.result(timeout=RESULT_SECONDS_MAX)
        latencies.append(time.perf_counter() - asked)
    return Sample(
        n=n,
        seconds=time.perf_counter() - began,
        latencies=latencies,
        detail=_percentiles("submit", submits),
        is_rate=False,
    )


async def _fanout(stage: Stage, n: int) -> Sample:
    """W2: `n` instances of five activities at once."""
    began = time.perf_counter()
    handles = await start_all(lambda _: stage.client.start(app.fanout, 5), n)
    await _results(handles)
    seconds = time.perf_counter() - began
    return Sample(n=n, seconds=seconds, detail={"activities_per_second": round(5 * n / seconds, 1)})


async def _wide(stage: Stage, n: int) -> Sample:
    """W3: one instance with `n` activities at once."""
    began = time.perf_counter()
    handle = await stage.client.start(app.fanout, n)
    await handle.result(timeout=RESULT_SECONDS_MAX)
    return Sample(n=n, seconds=time.perf_counter() - began)


_HISTORIES = (10, 1_000, 10_000)
_WINDOW = 200
"""Steps over which the cost at one length of history is taken."""


async def _chain(stage: Stage, n: int) -> Sample:
    """W4: one instance with `n` activities in sequence; the tenths are by the database's clock."""
    began = time.perf_counter()
    handle = await stage.client.start(app.chain, n)
    await handle.result(timeout=RESULT_SECONDS_MAX)
    seconds = time.perf_counter() - began
    records = await stage.provider.read_history(handle.instance_id)
    done = [record.at for record in records if record.kind is RecordKind.ACTIVITY_COMPLETED]
    tenth = max(n // 10, 1)
    return Sample(
        n=n,
        seconds=seconds,
        detail={
            "step_ms": round(seconds * 1000 / n, 3),
            "first_tenth_step_ms": _step_ms(done[: tenth + 1]),
            "last_tenth_step_ms": _step_ms(done[-tenth - 1 :]),
            **_by_history(done),
        },
    )


def _by_history(done: Sequence[datetime]) -> dict[str, float]:
    """Say what a step took where the history had so many records; each step adds two."""
    return {
        f"step_ms_at_{records}_records": _step_ms(done[records // 2 : records // 2 + _WINDOW])
        for records in _HISTORIES
        if len(done) >= records // 2 + _WINDOW
    }


def _step_ms(moments: Sequence[datetime]) -> float:
    steps = max(len(moments) - 1, 1)
    return round((moments[-1] - moments[0]).total_seconds() * 1000 / steps, 3)


async def _timers(stage: Stage, n: int) -> Sample:
    """W5: `n` timers of a second, started at once."""
    began = time.perf_counter()
    handles = await start_all(lambda _: stage.client.start(app.timer), n)
    asked = await _results(handles)
    seconds = time.perf_counter() - began
    return Sample(
        n=n,
        seconds=seconds,
        latencies=await _lateness(stage, handles, asked),
        is_rate=False,
    )


async def _timers_at_a_rate(stage: Stage, n: int) -> Sample:
    """W5rate: the same without a backlog, 20 a second."""
    handles: list[InstanceHandle[datetime]] = []
    began = time.perf_counter()
    for number in range(n):
        await asyncio.sleep(max(began + number / _TIMERS_PER_SECOND - time.perf_counter(), 0))
        handles.append(await stage.client.start(app.timer))
    asked = await _results(handles)
    seconds = time.perf_counter() - began
    return Sample(
        n=n, seconds=seconds, latencies=await _lateness(stage, handles, asked), is_rate=False
    )


async def _lateness(
    stage: Stage, handles: Sequence[InstanceHandle[datetime]], asked: Sequence[datetime]
) -> list[float]:
    """How long after its second each instance had ended, by the database's clock."""
    infos = await stage.provider.read_instances([handle.instance_id for handle in handles])
    second = timedelta(seconds=app.TIMER_SECONDS)
    return [
        (info.finished_at - moment - second).total_seconds()
        for info, moment in zip(infos, asked, strict=True)
        if info is not None and info.finished_at is not None
    ]


async def _payloads(stage: Stage, n: int) -> Sample:
    """W6: five activities in sequence, each given and returning 100 kB that do not compress."""
    letters = string.ascii_letters + string.digits
    text = "".join(random.choices(letters, k=_PAYLOAD_CHARACTERS))  # noqa: S311  not a secret
    began = time.perf_counter()
    handles = await start_all(lambda _: stage.client.start(app.payload, text), n)
    await _results(handles)
    seconds = time.perf_counter() - began
    moved = n * 10 * _PAYLOAD_CHARACTERS / 1e6
    return Sample(n=n, seconds=seconds, detail={"mb_per_second": round(moved / seconds, 2)})


async def _idle(stage: Stage, n: int) -> Sample:
    """W7: nothing to do for `n` seconds."""
    before = await stage.database.counters()
    began = time.perf_counter()
    await asyncio.sleep(n)
    seconds = time.perf_counter() - began
    counted = difference(before, await stage.database.counters())
    return Sample(
        n=n,
        seconds=seconds,
        detail={
            "transactions_per_second": round(counted.transactions / seconds, 3),
            "transactions_per_second_per_process": round(
                counted.transactions / seconds / _PROCESSES, 3
            ),
        },
        counted=counted,
        is_rate=False,
    )


async def _events(stage: Stage, n: int) -> Sample:
    """W8: `n` instances wait for an event; each is raised when the one before has answered."""
    handles = await start_all(lambda _: stage.client.start(app.event), n)
    await _all_have_had_a_turn(stage, handles)
    latencies: list[float] = []
    began = time.perf_counter()
    for number, handle in enumerate(handles):
        asked = time.perf_counter()
        await handle.raise_event("go", number)
        await handle.result(timeout=RESULT_SECONDS_MAX)
        latencies.append(time.perf_counter() - asked)
    return Sample(n=n, seconds=time.perf_counter() - began, latencies=latencies, is_rate=False)


async def _all_have_had_a_turn[R](stage: Stage, handles: Sequence[InstanceHandle[R]]) -> None:
    ids = [handle.instance_id for handle in handles]
    async with asyncio.timeout(RESULT_SECONDS_MAX):
        while True:
            infos = await stage.provider.read_instances(ids)
            if all(info is not None and info.history_length > 1 for info in infos):
                return
            await asyncio.sleep(0.05)


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    taken = latency(seconds)
    return {
        f"{name}_p50_ms": taken.p50,
        f"{name}_p90_ms": taken.p90,
        f"{name}_p99_ms": taken.p99,
    }


WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("W1", "burst of instances with one activity", 2000, _burst),
        Workload("W1lat", "the same one at a time, when idle", 100, _idle_latency),
        Workload("W2", "burst of instances with five activities at once", 1000, _fanout),
        Workload("W3", "one instance with many activities at once", 1000, _wide),
        Workload("W4", "one instance with many activities in sequence", 500, _chain),
        Workload("W5", "timers of a second, all at once", 2000, _timers),
        Workload("W5rate", "timers of a second, 20 a second", 200, _timers_at_a_rate),
        Workload("W6", "five activities with 100 kB in and out", 100, _payloads),
        Workload("W7", "seconds of nothing to do", 30, _idle),
        Workload("W8", "events raised one after another", 100, _events),
    )
}
"""In the order in which they run."""
