"""What a whole system in one process does on SQLite: hellos, a burst of them and one by one.

    python benchmarks/sqlite_hello.py [FILE] [COUNT]

Client, replay and executor share one event loop. Without a file, or with `:memory:`, the store is
in memory; a file is made and left there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from perdure.cli.bench import app
from perdure.executor import LocalRuntime
from perdure.providers.sqlite import MemoryStore, SqliteProvider
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

CALLERS = 16
ONE_BY_ONE = 200


@dataclass
class Spent:
    """Time in calls of the provider, which in memory is time that nothing else gets."""

    seconds: float = 0.0
    calls: int = 0
    verbs: dict[str, float] = field(default_factory=dict[str, float])


def timed(provider: SqliteProvider, spent: Spent) -> None:
    """Time every call that writes."""
    write: Callable[..., Any] = provider._write  # noqa: SLF001  the one place that all go through

    async def timing(verb: str, act: Any, *, durable: bool = True) -> Any:
        began = time.perf_counter()
        try:
            return await write(verb, act, durable=durable)
        finally:
            took = time.perf_counter() - began
            spent.seconds += took
            spent.calls += 1
            spent.verbs[verb] = spent.verbs.get(verb, 0.0) + took

    provider._write = timing  # type: ignore[method-assign]  # noqa: SLF001


async def measure(file: str, count: int) -> None:
    spent = Spent()
    store = MemoryStore() if file == ":memory:" else file
    async with SqliteProvider(store) as provider:
        timed(provider, spent)
        async with LocalRuntime(provider, Registry().add(app.echo, app.hello)) as runtime:
            client = runtime.client

            async def caller(numbers: range) -> None:
                for number in numbers:
                    handle = await client.start(app.hello, number)
                    handles.append(handle)

            handles: list[Any] = []
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for first in range(CALLERS):
                    group.create_task(caller(range(first, count, CALLERS)))
            await asyncio.gather(*(handle.result() for handle in handles))
            seconds = time.perf_counter() - began
            print(f"{file}: {count} hellos in {seconds:.2f} s: {count / seconds:.0f} a second")
            burst = Spent(spent.seconds, spent.calls, dict(spent.verbs))

            took: list[float] = []
            for number in range(ONE_BY_ONE):
                began = time.perf_counter()
                await (await client.start(app.hello, number)).result()
                took.append(time.perf_counter() - began)
            print(f"one at a time: {median(took) * 1000:.2f} ms in the median")
            if isinstance(store, MemoryStore):
                alone = (spent.seconds - burst.seconds) / ONE_BY_ONE
                calls = (spent.calls - burst.calls) / ONE_BY_ONE
                print(
                    f"of that in storage: {alone * 1000:.3f} ms in {calls:.1f} calls; in the burst "
                    f"{burst.seconds / count * 1000:.3f} ms in {burst.calls / count:.2f} calls"
                )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        measure(
            arguments[0] if arguments else ":memory:",
            int(arguments[1]) if len(arguments) > 1 else 2000,
        )
    )
