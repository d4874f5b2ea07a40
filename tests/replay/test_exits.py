"""A run may end itself, and neither the process nor the thread that it runs in."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, orchestration
from perdure.model.records import Ending, Outcome
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    type Body = Callable[[OrchestrationContext], Coroutine[Any, Any, Any]]


def ending_of(body: Body) -> Ending:
    """Run in a thread, as replayers do, to the end."""
    definition = orchestration(name="run")(body)
    history = ScriptedHistory(Registry(definition), definition)

    def run() -> Ending | None:
        history.raise_event("go")
        found = history.turn().ending
        history.close()
        history.replay()
        return found

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(run).result(timeout=30)
    assert ending is not None
    return ending


async def _interrupts(ctx: OrchestrationContext) -> None:
    await ctx.wait_event("go")
    raise KeyboardInterrupt("by the code")


async def _exits(ctx: OrchestrationContext) -> None:
    await ctx.wait_event("go")
    sys.exit(3)


async def _exits_in_a_child_task(ctx: OrchestrationContext) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_exits(ctx))
        group.create_task(asyncio.Event().wait())


async def _interrupts_in_a_callback(ctx: OrchestrationContext) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt("by a callback")

    asyncio.get_running_loop().call_soon(interrupt)
    await asyncio.Event().wait()


async def _exits_in_an_exception_handler(ctx: OrchestrationContext) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: sys.exit("from a handler"))
    loop.call_soon(int, "no number")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (_interrupts, "KeyboardInterrupt", "by the code"),
        (_exits, "SystemExit", "3"),
        (_exits_in_a_child_task, "SystemExit", "3"),
        (_interrupts_in_a_callback, "KeyboardInterrupt", "by a callback"),
        (_exits_in_an_exception_handler, "SystemExit", "from a handler"),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_the_run_fails_and_names_it(body: Body, kind: str, message: str) -> None:
    ending = ending_of(body)
    assert ending.outcome is Outcome.FAILED
    assert ending.failure is not None
    assert (ending.failure.type, ending.failure.message) == (kind, message)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_clean_up_that_exits_ends_nothing(error: type[BaseException]) -> None:
    """Whenever a process lets go of a run, its `finally` blocks run."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        async def numbers() -> Any:
            try:
                yield 1
            finally:
                raise error

        kept = numbers()
        await anext(kept)
        try:
            await ctx.wait_event("never")
        finally:
            raise error

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(history.close).result(timeout=30)


def test_ctrl_c_reaches_whoever_runs_turns_in_the_main_thread() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        signal.raise_signal(signal.SIGINT)

    history = ScriptedHistory(Registry(run), run)
    with pytest.raises(KeyboardInterrupt):
        history.turn()
    history.close()
