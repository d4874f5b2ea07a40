"""Many worlds, in as many processes as there are processors."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator
from itertools import count, islice

from perdure.testing.simulation.world import simulate

__all__ = ["run_worlds"]

_CHUNK = 20


def run_worlds(
    first: int, worlds: int | None, *, seconds: float | None = None, processes: int = 1
) -> Iterator[tuple[int, list[str]]]:
    """Yield, chunk by chunk, how many worlds were run, and what the failed ones said."""
    until = float("inf") if seconds is None else time.monotonic() + seconds
    last = None if worlds is None else first + worlds

    def chunks() -> Iterator[range]:
        for start in count(first, _CHUNK):
            if (last is not None and start >= last) or time.monotonic() > until:
                return
            yield range(start, start + _CHUNK if last is None else min(start + _CHUNK, last))

    os.environ["PYTHONHASHSEED"] = "0"  # of the processes that are started
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_silence) as pool:
        source = chunks()
        ahead = islice(source, 2 * processes)
        waiting = [pool.apply_async(_run, (chunk,)) for chunk in ahead]
        while waiting:
            yield waiting.pop(0).get()
            following = next(source, None)
            if following is not None:
                waiting.append(pool.apply_async(_run, (following,)))


def _silence() -> None:
    logging.disable(logging.CRITICAL)


def _run(seeds: range) -> tuple[int, list[str]]:
    failed: list[str] = []
    for seed in seeds:
        try:
            simulate(seed)
        except Exception as error:  # noqa: BLE001  whatever it is, the seed gives it again
            failed.append(f"seed {seed}: {type(error).__name__}: {error}")
    return len(seeds), failed
