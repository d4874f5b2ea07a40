"""What the tripwire costs: on a turn, and on a call in an orchestration's code.

    python benchmarks/tripwire.py

Every policy is measured in processes of its own, for what was watched once is watched for good; the
policies take turns, and of each the fastest batch counts.
"""

from __future__ import annotations

import math
import subprocess
import sys
import time

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.model.strictness import Strictness, TripwirePolicy
from perdure.testing.scripted import ScriptedHistory

_ROUNDS = 5
_BATCHES = 200
_INSTANCES = 20
_CALLS = 2_000


@activity
def greet(name: str) -> str:
    return f"Hello, {name}!"


@orchestration
async def hello(ctx: OrchestrationContext, name: str) -> str:  # noqa: ARG001  every one has it
    return await greet(name)


def _same(number: int) -> int:
    return number


@orchestration
async def busy(ctx: OrchestrationContext, calls: int) -> int:  # noqa: ARG001  as above
    started = time.perf_counter()  # perdure: allow PD101 it is measured
    for number in range(calls):
        _same(number)
    return int(1e9 * (time.perf_counter() - started))  # perdure: allow PD101 it is measured


def _turn_nanoseconds(strictness: Strictness) -> float:
    """Time a turn of hello instances, which have two each: the fastest of many batches."""
    registry = Registry(greet, hello)
    best = math.inf
    for _ in range(_BATCHES):
        started = time.perf_counter()
        for _ in range(_INSTANCES):
            history = ScriptedHistory(registry, hello, "Ada", strictness=strictness)
            history.turn()
            history.complete("0:1", "Hello, Ada!")
            history.turn()
            history.close()
        best = min(best, time.perf_counter() - started)
    return 1e9 * best / _INSTANCES / 2


def _call_nanoseconds(strictness: Strictness) -> float:
    best = math.inf
    for _ in range(_BATCHES):
        history = ScriptedHistory(Registry(busy), busy, _CALLS, strictness=strictness)
        ending = history.turn().ending
        if ending is None or ending.output is None:
            raise SystemExit(f"busy did not complete: {ending}")
        best = min(best, int(ending.output) / _CALLS)
    return best


def _measure(policy: TripwirePolicy) -> tuple[float, float]:
    found = subprocess.run(
        [sys.executable, __file__, policy.value], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(found[0]), float(found[1])


def main() -> None:
    if len(sys.argv) > 1:
        strictness = Strictness(tripwire=TripwirePolicy(sys.argv[1]))
        print(_turn_nanoseconds(strictness), _call_nanoseconds(strictness))
        return
    found: dict[TripwirePolicy, list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS):
        for policy in TripwirePolicy:
            found.setdefault(policy, []).append(_measure(policy))
    base_turn, base_call = (min(each[i] for each in found[TripwirePolicy.OFF]) for i in (0, 1))
    print("policy     a turn of hello            a call in the code")
    for policy, rounds in found.items():
        turn, call = (min(each[i] for each in rounds) for i in (0, 1))
        print(
            f"{policy.value:<6} {turn / 1000:8.1f} µs  {100 * (turn / base_turn - 1):+5.1f} %"
            f" {call:12.0f} ns  {call - base_call:+5.0f} ns"
        )


if __name__ == "__main__":
    main()
