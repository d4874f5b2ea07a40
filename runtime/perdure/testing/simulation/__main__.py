"""`python -m perdure.testing.simulation`: run worlds, as many or as long as asked for."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from perdure.testing.simulation.many import run_worlds
from perdure.testing.simulation.world import simulate

__all__ = ["main"]


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


if __name__ == "__main__":
    sys.exit(main())
