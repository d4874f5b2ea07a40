"""`python -m perdure.testing.simulation`: run worlds, as many or as long as asked for."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from itertools import count, islice

from perdure.testing.simulation.world import simulate

__all__ = ["main", "run_worlds"]

_CHUNK = 20


def main() -> int:
    """Run worlds; exit code 1 and the seed, if one does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m perdure.testing.simulation",
        description="Run the whole system under faults, one world for each seed.",
    )
    parser.add_argument("--seed", type=int, help="run this world alone, with its log")
    parser.add_argument("--worlds", type=int, help="run so many (1,000)")
    parser.add_argument("--seconds", type=float, help="run as many as fit into this time")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of texts have an order of their own in every process; a seed shall give one world.
        again = [sys.executable, "-m", "perdure.testing.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, os.environ | {"PYTHONHASHSEED": "0"})  # noqa: S606  itself
    if given.seed is not None:
        logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
        simulate(given.seed)
        sys.stdout.write(f"world {given.seed} holds\n")
        return 0
    began, ran, failures = time.monotonic(), 0, 0
    worlds = given.worlds if given.worlds or given.seconds else 1000
    for number, failed in run_worlds(
        given.first, worlds, seconds=given.seconds, processes=given.processes
    ):
        ran += number
        for line in failed:
            failures += 1
            sys.stdout.write(f"{line}\n")
        sys.stderr.write(f"\r{ran:,} worlds, {failures} failed")
    seconds = time.monotonic() - began
    sys.stdout.write(f"\n{ran:,} worlds in {seconds:.0f} s: {failures} failed\n")
    return 1 if failures else 0


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


if __name__ == "__main__":
    sys.exit(main())
