"""The same program under asyncio's own loop and under turns: both must log the same.

asyncio's loop is given a clock that jumps to the next timer, so nothing waits. Turns are given
their timers one by one, the earliest first. Where two are due at the very same time, asyncio wakes
both at once and a turn one after the other: that is a decision of ours, so programs here keep their
times apart.
"""

from __future__ import annotations

import asyncio
from asyncio import sleep as pause
from asyncio import taskgroups
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, orchestration
from perdure.model.actions import CancelTimer, CreateTimer
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROUNDS_MAX = 100_000
START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


class Log:
    """What a program did, each with the time since its start."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, *items: object) -> None:
        time = asyncio.get_running_loop().time() - START
        self.lines.append(f"{round(time, 3):g}: {' '.join(map(show, items))}")

    async def worker(self, name: str, delay: float, error: BaseException | None = None) -> str:
        """Sleep, log how that ended, and return the name or raise."""
        self(name, "starts")
        try:
            await pause(delay)
        except asyncio.CancelledError as cancelled:
            self(name, "cancelled", cancelled)
            raise
        if error is not None:
            self(name, "raises")
            raise error
        self(name, "ends")
        return name


def show(item: object) -> str:
    """Show an exception with its members and what it came from, anything else as text."""
    match item:
        case BaseExceptionGroup():
            members = ", ".join(show(each) for each in item.exceptions)
            return f"{type(item).__name__}({item.message}: {members})"
        case BaseException():
            cause = "" if item.__cause__ is None else f" from {show(item.__cause__)}"
            return f"{type(item).__name__}{item.args}{cause}"
        case list() | tuple():
            return f"[{', '.join(map(show, item))}]"
        case _:
            return str(item)


type Program = Callable[[Log], Awaitable[object]]


async def _logged(program: Program, log: Log) -> None:
    try:
        log("returned", await program(log))
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001  it is compared
        log("raised", error)


class JumpingLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, but its time is that of the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._now = START
        self.met = False
        """Whether two timers were due at once."""
        selector: Any = vars(self)["_selector"]
        self._look = selector.select
        self._rounds = 0
        self._clock_resolution = 0.001  # of so large a time, a nanosecond is lost
        selector.select = self._jump

    def time(self) -> float:
        return self._now

    def _jump(self, timeout: float | None) -> Any:
        self._rounds += 1
        if timeout is None or self._rounds > ROUNDS_MAX:
            message = "the program waits for ever"
            raise RuntimeError(message)
        if timeout:
            times = sorted(each.when() for each in vars(self)["_scheduled"])
            self._now = times[0]
            self.met = self.met or times[1:2] == [self._now]
        return self._look(0)


class _Ordered(dict[Any, None]):
    """A set that is walked in order: in which order a group cancels is nowhere promised."""

    def add(self, element: Any) -> None:
        self[element] = None

    def discard(self, element: Any) -> None:
        self.pop(element, None)


def under_asyncio(program: Program) -> tuple[list[str], bool]:
    """Run under asyncio; return the log, and whether two timers were due at once."""
    log, loops = Log(), list[JumpingLoop]()

    def make() -> JumpingLoop:
        loops.append(JumpingLoop())
        return loops[0]

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=make) as runner:
        patch.setattr(taskgroups, "set", _Ordered, raising=False)
        runner.run(_logged(program, log))
        lines = list(log.lines)
    return lines, loops[0].met


def under_turns(program: Program) -> list[str]:
    """Run in turns, and again from the history, which must log the same."""
    logs: list[Log] = []

    @orchestration(name="program")
    async def definition(_ctx: OrchestrationContext) -> None:
        logs.append(Log())
        await _logged(program, logs[-1])

    history = ScriptedHistory(Registry(definition), definition)
    timers: dict[str, CreateTimer] = {}
    while (result := history.turn()).ending is None:
        for action in result.actions:
            if isinstance(action, CreateTimer):
                timers[action.operation] = action
            elif isinstance(action, CancelTimer):
                timers.pop(action.operation, None)
        assert timers, f"the program waits for ever after {logs[-1].lines}"
        first = min(timers.values(), key=lambda timer: timer.fire_at)
        history.fire(timers.pop(first.operation).operation)
    lines = list(logs[-1].lines)
    history.close()
    history.replay()
    assert logs[-1].lines == lines
    return lines


@pytest.fixture(scope="session")
def compared() -> Callable[[Program], tuple[list[str], list[str]] | None]:
    """Run a program both ways and return both logs; None if two timers are due at once."""

    def compare(program: Program) -> tuple[list[str], list[str]] | None:
        expected, met = under_asyncio(program)
        return None if met else (under_turns(program), expected)

    return compare


@pytest.fixture
def alike() -> Callable[[Program], list[str]]:
    """Run a program both ways, expect the same log, and return it."""

    def compare(program: Program) -> list[str]:
        expected, met = under_asyncio(program)
        assert not met, "two timers are due at once; choose other times"
        assert under_turns(program) == expected
        return expected

    return compare
