"""Wrong uses of the client that start, send and steer, each with what its caller is told.

None of them changes anything: neither which instances there are, nor what has happened to them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from perdure import OrchestrationContext, activity, orchestration
from perdure.errors import (
    CallerError,
    DefinitionError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    PayloadError,
)


@activity
def work(x: int) -> int:
    return x


@orchestration
async def child(ctx: OrchestrationContext, x: int) -> int:
    return x + await ctx.wait_event("go", int)


WRONG: list[tuple[str, Callable[[Any], Awaitable[object]], type[Exception], str]] = [
    (
        "start noarg",
        lambda c: c.start(child),
        TypeError,
        "orchestration 'child' lacks the argument 'x'",
    ),
    (
        "start badarg",
        lambda c: c.start(child, "x"),
        PayloadError,
        (
            "argument 'x' of orchestration 'child' is declared int, found str: "
            "Expected `int` [input_value='x', input_type=str]"
        ),
    ),
    (
        "start unknown",
        lambda c: c.start(child, 1, y=2),
        TypeError,
        "orchestration 'child' has no parameter 'y'; it has 'x'",
    ),
    (
        "start plain",
        lambda c: c.start(print, 1),
        TypeError,
        (
            "an orchestration is started, or the name of one, not <built-in function "
            "print>: decorate it with @orchestration"
        ),
    ),
    (
        "start none",
        lambda c: c.start(None),
        TypeError,
        (
            "an orchestration is started, or the name of one, not None: decorate it "
            "with @orchestration"
        ),
    ),
    (
        "start activity",
        lambda c: c.start(work, 1),
        TypeError,
        (
            "an orchestration is started, or the name of one, not <activity 'work'>: "
            "decorate it with @orchestration"
        ),
    ),
    (
        "start name pos",
        lambda c: c.start("child", 1),
        TypeError,
        "Orchestration 'child' is started by name: give arguments by keyword",
    ),
    (
        "start name empty",
        lambda c: c.start("", x=1),
        DefinitionError,
        ("orchestration name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253"),
    ),
    (
        "start name long",
        lambda c: c.start("x" * 254, x=1),
        DefinitionError,
        (
            "orchestration name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxx' cannot be: it has 254 bytes of UTF-8; it "
            "needs 1 to 253"
        ),
    ),
    (
        "start version",
        lambda c: c.start("child", x=1, version="new"),
        DefinitionError,
        ("orchestration 'child': version 'new' is not a semantic version such as '1.2.0'"),
    ),
    (
        "start obj",
        lambda c: c.start("child", x=object()),
        PayloadError,
        (
            "the arguments of 'child' of type dict has no JSON form: Unable to "
            "serialize unknown type: <class 'object'>"
        ),
    ),
    (
        "start id empty",
        lambda c: c.start(child, 1, instance_id=""),
        CallerError,
        "Instance id '' has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "start id long",
        lambda c: c.start(child, 1, instance_id="x" * 254),
        CallerError,
        (
            "Instance id 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxx' has 254 bytes of UTF-8; it needs 1 to 253"
        ),
    ),
    (
        "start id child",
        lambda c: c.start(child, 1, instance_id="a::b"),
        CallerError,
        ("Instance id 'a::b' has '::', which marks the ids of children: use another separator"),
    ),
    (
        "start id nul",
        lambda c: c.start(child, 1, instance_id="a\0b"),
        CallerError,
        "Instance id 'a\\x00b' has a control character; leave it out",
    ),
    (
        "start id type",
        lambda c: c.start(child, 1, instance_id=17),
        CallerError,
        "Instance id 17 is of type int; it needs text",
    ),
    (
        "start exists",
        lambda c: c.start(child, 1, instance_id="live"),
        InstanceExistsError,
        (
            "Instance 'live' exists already: choose another id, or pass "
            'on_conflict="attach" for a handle on the instance that is there'
        ),
    ),
    (
        "start conflict",
        lambda c: c.start(child, 1, instance_id="live", on_conflict="replace"),
        CallerError,
        (
            "on_conflict is 'replace'; it can be 'reject', which raises where the id "
            "is taken, or 'attach', which returns a handle on what is there"
        ),
    ),
    (
        "start conflict new",
        lambda c: c.start(child, 1, instance_id="fresh", on_conflict="replace"),
        CallerError,
        (
            "on_conflict is 'replace'; it can be 'reject', which raises where the id "
            "is taken, or 'attach', which returns a handle on what is there"
        ),
    ),
    (
        "named json",
        lambda c: c.start_named("child", "[1]"),
        PayloadError,
        (
            "the arguments of orchestration 'child' are a JSON list; expected an "
            "object with the arguments by name"
        ),
    ),
    (
        "named notjson",
        lambda c: c.start_named("child", "{x"),
        PayloadError,
        (
            "the arguments of orchestration 'child' are no JSON: Expecting property "
            "name enclosed in double quotes: line 1 column 2 (char 1)"
        ),
    ),
    (
        "named priority",
        lambda c: c.start_named("child", "{}", priority=500),
        DefinitionError,
        ("orchestration 'child': priority is 500; it must be a whole number, -100 to 100"),
    ),
    (
        "named timeout",
        lambda c: c.start_named("child", "{}", timeout=timedelta(-1)),
        DefinitionError,
        "orchestration 'child': timeout is -86400.0 s; it must be more than 0",
    ),
    (
        "named limit",
        lambda c: c.start_named("child", "{}", limit=""),
        DefinitionError,
        ("orchestration 'child': limit '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253"),
    ),
    (
        "named attr",
        lambda c: c.start_named("child", "{}", attributes={"a": []}),
        CallerError,
        "Attribute 'a' is a list; it must be a string, a number or a boolean",
    ),
    (
        "many bad",
        lambda c: c.start_many(child, ["x"]),
        PayloadError,
        (
            "argument 'x' of orchestration 'child' is declared int, found str: "
            "Expected `int` [input_value='x', input_type=str]"
        ),
    ),
    (
        "raise name",
        lambda c: c.raise_event("live", ""),
        CallerError,
        "Event name '' has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "raise name nul",
        lambda c: c.raise_event("live", "a\0"),
        CallerError,
        "Event name 'a\\x00' has a control character; leave it out",
    ),
    (
        "raise name type",
        lambda c: c.raise_event("live", 3),
        CallerError,
        "Event name 3 is of type int; it needs text",
    ),
    (
        "raise obj",
        lambda c: c.raise_event("live", "go", object()),
        PayloadError,
        (
            "the data of event 'go' of type object has no JSON form: Unable to "
            "serialize unknown type: <class 'object'>"
        ),
    ),
    (
        "raise nan",
        lambda c: c.raise_event("live", "go", math.nan),
        PayloadError,
        (
            "the data of event 'go' holds a NaN or an infinite number, which JSON "
            "cannot carry; use None"
        ),
    ),
    (
        "raise large",
        lambda c: c.raise_event("live", "go", "x" * (3 << 20)),
        PayloadError,
        (
            "the data of event 'go' is 3,145,730 bytes of JSON; the limit is "
            "2,097,152. Put the data into a store and pass its address"
        ),
    ),
    (
        "raise done",
        lambda c: c.raise_event("done", "go"),
        InstanceFinishedError,
        "Instance 'done' has ended; event 'go' was not taken",
    ),
    (
        "raise id",
        lambda c: c.raise_event("", "go"),
        CallerError,
        "Instance id '' has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "enqueue name",
        lambda c: c.enqueue_event("live", "x" * 254),
        CallerError,
        (
            "Queue name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxx' has 254 bytes of UTF-8; it needs 1 to 253"
        ),
    ),
    (
        "cancel reason",
        lambda c: c.cancel("live", 3),
        CallerError,
        ("The reason to cancel is 3; it must be text"),
    ),
    (
        "cancel id",
        lambda c: c.cancel("a\nb"),
        CallerError,
        "Instance id 'a\\nb' has a control character; leave it out",
    ),
    (
        "cancel reason nul",
        lambda c: c.cancel("live", "a\0b"),
        CallerError,
        "The reason to cancel has a NUL character: leave it out",
    ),
    (
        "terminate nul",
        lambda c: c.terminate("live", "a\0b"),
        CallerError,
        "The reason to terminate has a NUL character: leave it out",
    ),
    (
        "suspend nul",
        lambda c: c.suspend("live", "a\0b"),
        CallerError,
        "The reason to suspend has a NUL character: leave it out",
    ),
    (
        "suspend sur",
        lambda c: c.suspend("live", "\ud800"),
        PayloadError,
        (
            "the reason to suspend holds half of a surrogate pair, which is not text;"
            " decode its source again"
        ),
    ),
    (
        "suspend int",
        lambda c: c.suspend("live", 3),
        CallerError,
        "The reason to suspend is 3; it must be text",
    ),
    (
        "terminate none",
        lambda c: c.terminate("nobody"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "suspend none",
        lambda c: c.suspend("nobody"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "suspend done",
        lambda c: c.suspend("done"),
        InstanceFinishedError,
        "Instance 'done' has ended; there is nothing to suspend",
    ),
    (
        "resume done",
        lambda c: c.resume("done"),
        InstanceFinishedError,
        "Instance 'done' has ended; there is nothing to resume",
    ),
]


@pytest.mark.parametrize(
    ("use", "kind", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
async def test_client(
    client: Any,
    state: Callable[[Any], Awaitable[object]],
    use: Callable[[Any], Awaitable[object]],
    kind: type[Exception],
    message: str,
) -> None:
    before = await state(client)
    with pytest.raises(Exception) as caught:  # noqa: PT011  the kind is looked at below
        await use(client)
    assert (type(caught.value), str(caught.value)) == (kind, message)
    assert await state(client) == before
