"""Wrong calls inside an orchestration: each raises there, and decides nothing."""

# ruff: noqa: ARG001, ARG005, DTZ001  wrong uses do what nobody should

from __future__ import annotations

import asyncio
import inspect
import math
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, Retry, activity, orchestration
from perdure.errors import (
    DefinitionError,
    ForbiddenCallError,
    PayloadError,
)
from perdure.model.actions import RefuseCall
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable

# As whoever has no type checker: it would find most of these.
retry: Any = Retry
registry: Any = Registry

PLACE = re.compile(r"\S+\.py:\d+")


def plain(x: int) -> int:
    return x


async def noctx() -> int:
    return 1


def star(*args: int) -> int:
    return 1


def kw(**kw: int) -> int:
    return 1


@activity(name="work")
def _work(x: int) -> int:
    return x


@orchestration(name="child")
async def _child(ctx: OrchestrationContext, x: int) -> int:
    return x


# As whoever has no type checker.
work: Any = _work
child: Any = _child


CALLING: list[tuple[str, Callable[[Any], Any], type[Exception], str]] = [
    (
        "arg missing",
        lambda ctx: work(),
        TypeError,
        "activity 'work' lacks the argument 'x'",
    ),
    (
        "arg unknown",
        lambda ctx: work(y=1),
        TypeError,
        "activity 'work' has no parameter 'y'; it has 'x'",
    ),
    (
        "arg many",
        lambda ctx: work(1, 2),
        TypeError,
        "activity 'work' takes 1 positional arguments, got 2",
    ),
    (
        "arg twice",
        lambda ctx: work(1, x=2),
        TypeError,
        "activity 'work' got argument 'x' twice",
    ),
    (
        "arg type",
        lambda ctx: work("one"),
        PayloadError,
        (
            "argument 'x' of activity 'work' is declared int, found str: Expected "
            "`int` [input_value='one', input_type=str]"
        ),
    ),
    (
        "arg nan",
        lambda ctx: ctx.schedule_activity("work", {"x": math.nan}),
        PayloadError,
        (
            "the arguments of activity 'work' holds a NaN or an infinite number, "
            "which JSON cannot carry; use None"
        ),
    ),
    (
        "arg object",
        lambda ctx: ctx.schedule_activity("work", {"x": object()}),
        PayloadError,
        (
            "the arguments of activity 'work' of type dict has no JSON form: Unable "
            "to serialize unknown type: <class 'object'>"
        ),
    ),
    (
        "arg list",
        lambda ctx: ctx.schedule_activity("work", [1]),
        TypeError,
        ("activity 'work' is called by name: its arguments are a mapping by parameter, not [1]"),
    ),
    (
        "arg by name key",
        lambda ctx: ctx.schedule_activity("work", {1: 2}),
        TypeError,
        ("activity 'work' is called by name: its arguments are a mapping by parameter, not {1: 2}"),
    ),
    (
        "act name",
        lambda ctx: ctx.schedule_activity("", {}),
        DefinitionError,
        "activity name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "act none",
        lambda ctx: ctx.schedule_activity(None),
        TypeError,
        (
            "schedule_activity takes an activity or the name of one, not None: "
            "decorate it with @activity"
        ),
    ),
    (
        "act plain",
        lambda ctx: ctx.schedule_activity(print, 1),
        TypeError,
        (
            "schedule_activity takes an activity or the name of one, not <built-in "
            "function print>: decorate it with @activity"
        ),
    ),
    (
        "act tag",
        lambda ctx: ctx.schedule_activity("work", {}, tag="x" * 64),
        DefinitionError,
        (
            "activity 'work': tag "
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' "
            "cannot be: it has 64 bytes of UTF-8; it needs 1 to 63"
        ),
    ),
    (
        "act timeout",
        lambda ctx: ctx.schedule_activity("work", {}, timeout=timedelta(0)),
        DefinitionError,
        "activity 'work': timeout is 0.0 s; it must be more than 0",
    ),
    (
        "act opt",
        lambda ctx: ctx.schedule_activity("work", {}, retries=3),
        TypeError,
        ("activity 'work' has no option 'retries'; its arguments go into one mapping"),
    ),
    (
        "session empty",
        lambda ctx: ctx.schedule_activity_on_session(work, "", 1),
        DefinitionError,
        ("activity 'work': session '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253"),
    ),
    (
        "retry type",
        lambda ctx: ctx.schedule_activity_with_retry(work, 3, 1),
        DefinitionError,
        ("activity 'work': retry is 3; expected a policy, such as Retry(max_attempts=5)"),
    ),
    (
        "child version",
        lambda ctx: ctx.schedule_sub_orchestration("child", {"x": 1}, version="1"),
        DefinitionError,
        ("orchestration 'child': version '1' is not a semantic version such as '1.2.0'"),
    ),
    (
        "child id",
        lambda ctx: ctx.schedule_sub_orchestration("child", {"x": 1}, instance_id=""),
        DefinitionError,
        (
            "orchestration 'child': instance id '' cannot be: it has 0 bytes of "
            "UTF-8; it needs 1 to 253"
        ),
    ),
    (
        "detached id",
        lambda ctx: ctx.schedule_orchestration(child, "a\tb", {"x": 1}),
        DefinitionError,
        (
            "orchestration 'child': instance id 'a\\tb' cannot be: it has a control "
            "character; leave it out"
        ),
    ),
    (
        "detached arg",
        lambda ctx: ctx.schedule_orchestration(child, "d", {"y": 1}),
        TypeError,
        "orchestration 'child' has no parameter 'y'; it has 'x'",
    ),
    (
        "timer inf",
        lambda ctx: ctx.schedule_timer(math.inf),
        ValueError,
        (
            "a timer of inf cannot be; expected a number of seconds or a timedelta, "
            "and for no end no timer"
        ),
    ),
    (
        "timer nan",
        lambda ctx: ctx.schedule_timer(math.nan),
        ValueError,
        (
            "a timer of nan cannot be; expected a number of seconds or a timedelta, "
            "and for no end no timer"
        ),
    ),
    (
        "timer text",
        lambda ctx: ctx.schedule_timer("5"),
        ValueError,
        (
            "a timer of '5' cannot be; expected a number of seconds or a timedelta, "
            "and for no end no timer"
        ),
    ),
    (
        "timer far",
        lambda ctx: ctx.schedule_timer(timedelta(days=5_000_000)),
        ValueError,
        ("a timer of 432000000000.0 s ends after the year 9999; for no end, set no timeout"),
    ),
    (
        "event name",
        lambda ctx: ctx.wait_event(""),
        DefinitionError,
        "event name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "event nul",
        lambda ctx: ctx.wait_event("a\0"),
        DefinitionError,
        "event name 'a\\x00' cannot be: it has a control character; leave it out",
    ),
    (
        "event type",
        lambda ctx: ctx.wait_event(3),
        DefinitionError,
        "event name 3 cannot be: it is of type int; it needs text",
    ),
    (
        "queue name",
        lambda ctx: ctx.queue("x" * 254),
        DefinitionError,
        (
            "queue name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxx' cannot be: it has 254 bytes of UTF-8; it needs 1 "
            "to 253"
        ),
    ),
    (
        "dequeue name",
        lambda ctx: ctx.dequeue_event(""),
        DefinitionError,
        "queue name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "session name",
        lambda ctx: ctx.session(""),
        DefinitionError,
        "session '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "status object",
        lambda ctx: ctx.set_custom_status(object()),
        PayloadError,
        (
            "the custom status of type object has no JSON form: Unable to serialize "
            "unknown type: <class 'object'>"
        ),
    ),
    (
        "status large",
        lambda ctx: ctx.set_custom_status("x" * (300 << 10)),
        PayloadError,
        "the custom status is 307,202 bytes of JSON; the limit is 262,144",
    ),
    (
        "status surrogate",
        lambda ctx: ctx.set_custom_status("\ud800"),
        PayloadError,
        (
            "the custom status holds half of a surrogate pair, which is not text; "
            "decode its source again"
        ),
    ),
    (
        "attr type",
        lambda ctx: ctx.set_attributes(team=[1]),
        DefinitionError,
        (
            "instance 'scripted': attribute 'team' is a list; it can be a string, a "
            "number or a boolean"
        ),
    ),
    (
        "attr large",
        lambda ctx: ctx.set_attributes(team="x" * 9000),
        PayloadError,
        "the attributes are 9,011 bytes of JSON; the limit is 8,192",
    ),
    (
        "kv key long",
        lambda ctx: ctx.set_kv_value("x" * 254, 1),
        PayloadError,
        (
            "key 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxx' of the key-value map cannot be: it has 254 bytes of "
            "UTF-8; it needs 1 to 253"
        ),
    ),
    (
        "kv key type",
        lambda ctx: ctx.set_kv_value(1, 1),
        PayloadError,
        "key 1 of the key-value map cannot be: it is of type int; it needs text",
    ),
    (
        "kv value",
        lambda ctx: ctx.set_kv_value("k", object()),
        PayloadError,
        (
            "the value of key 'k' of type object has no JSON form: Unable to "
            "serialize unknown type: <class 'object'>"
        ),
    ),
    (
        "kv large",
        lambda ctx: ctx.set_kv_value("k", "x" * (65 << 10)),
        PayloadError,
        (
            "the value of key 'k' of the key-value map is 66,562 bytes; the limit is "
            "65,536. Put the data into a store and keep its address"
        ),
    ),
    (
        "kv prune",
        lambda ctx: ctx.kv.prune(datetime(2020, 1, 1)),
        ValueError,
        "prune(before=2020-01-01 00:00:00) has no time zone; begin from ctx.now()",
    ),
    (
        "kv of",
        lambda ctx: ctx.kv_of(""),
        DefinitionError,
        (
            "instance 'scripted': instance id '' cannot be: it has 0 bytes of UTF-8; "
            "it needs 1 to 253"
        ),
    ),
    (
        "step async",
        lambda ctx: ctx.step(noctx),
        DefinitionError,
        "step 'noctx' is `async def`; a step runs at once: make it an activity",
    ),
    (
        "step type",
        lambda ctx: ctx.step("read"),
        DefinitionError,
        "ctx.step takes a function and its arguments, not 'read'",
    ),
    (
        "query async",
        lambda ctx: ctx.query(noctx),
        DefinitionError,
        "query 'noctx' is `async def`; a query reads and never waits",
    ),
    (
        "query name",
        lambda ctx: ctx.query(name="")(plain),
        DefinitionError,
        "query name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "update star",
        lambda ctx: ctx.update(star),
        DefinitionError,
        (
            "update 'star' takes *args; arguments travel by name, so every "
            "parameter needs one: take a list or a dict instead"
        ),
    ),
    (
        "can type",
        lambda ctx: ctx.continue_as_new("x"),
        PayloadError,
        (
            "argument 'x' of orchestration 'run' is declared int, found str: Expected"
            " `int` [input_value='x', input_type=str]"
        ),
    ),
    (
        "can version",
        lambda ctx: ctx.continue_as_new(1, version="x"),
        DefinitionError,
        ("orchestration 'run': version 'x' is not a semantic version such as '1.2.0'"),
    ),
    (
        "can missing",
        lambda ctx: ctx.continue_as_new(),
        TypeError,
        "orchestration 'run' lacks the argument 'x'",
    ),
    (
        "patched type",
        lambda ctx: ctx.patched(""),
        DefinitionError,
        "patch name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "select empty",
        lambda ctx: ctx.select([]),
        ValueError,
        "select needs at least one awaitable",
    ),
    (
        "saga foreign",
        lambda ctx: ctx.saga().compensate(plain, 1),
        ForbiddenCallError,
        (
            "saga.compensate(...) was called outside of its scope; call it inside "
            "`async with ctx.saga() as saga:`"
        ),
    ),
]


def program(call: Callable[[Any], Any], caught: list[Exception]) -> Any:
    """An orchestration that does something wrong, and goes on."""

    @orchestration(name="run")
    async def run(ctx: OrchestrationContext, x: int) -> None:
        try:
            answer = call(ctx)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:
            caught.append(error)
            if isinstance(error, ForbiddenCallError):
                raise

    return run


@pytest.mark.parametrize(
    ("call", "kind", "message"), [row[1:] for row in CALLING], ids=[row[0] for row in CALLING]
)
def test_calling(call: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    caught: list[Exception] = []
    run = program(call, caught)
    turn = ScriptedHistory(registry(run, work, child), run, 1).turn()
    (error,) = caught
    assert (type(error), PLACE.sub("FILE:LINE", str(error))) == (kind, message)
    assert [each for each in turn.actions if not isinstance(each, RefuseCall)] == []


FORBIDDEN: list[tuple[str, Callable[[Any], Any], type[Exception], str]] = [
    (
        "executor",
        lambda ctx: asyncio.get_running_loop().run_in_executor(None, plain, 1),
        ForbiddenCallError,
        (
            "instance 'scripted', at FILE:LINE: an orchestration may not use "
            "loop.run_in_executor(): threads are not replayed (asyncio.to_thread uses"
            " them): make it an activity, and await that"
        ),
    ),
    (
        "to thread",
        lambda ctx: asyncio.to_thread(plain, 1),
        ForbiddenCallError,
        (
            "instance 'scripted', at FILE:LINE: an orchestration may not use "
            "loop.run_in_executor(): threads are not replayed (asyncio.to_thread uses"
            " them): make it an activity, and await that"
        ),
    ),
    (
        "asyncio run",
        lambda ctx: asyncio.run(noctx()),
        ForbiddenCallError,
        (
            "instance 'scripted', at FILE:LINE: an orchestration may not use "
            "asyncio.run(): make it an activity, and await that"
        ),
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), [row[1:] for row in FORBIDDEN], ids=[row[0] for row in FORBIDDEN]
)
def test_forbidden(call: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    run = program(call, [])
    history = ScriptedHistory(registry(run, work, child), run, 1)
    with pytest.raises(ForbiddenCallError) as caught:
        history.turn()
    assert (type(caught.value), PLACE.sub("FILE:LINE", str(caught.value))) == (kind, message)
