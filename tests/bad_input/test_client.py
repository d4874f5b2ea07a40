"""Wrong uses of the client, each with the message that its user gets.

None of them changes anything: neither which instances there are, nor what has happened to them.
"""

# ruff: noqa: DTZ001  wrong uses do what nobody should

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import (
    CallerError,
    DefinitionError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceUnfinishedError,
    PayloadError,
    QueryError,
    ResultTimeoutError,
)
from perdure.executor import LocalRuntime
from perdure.providers.opening import open_provider
from perdure.providers.reading import ListInstances
from perdure.providers.tokens import completion_token
from perdure.providers.work import ActivityLease

TOK = completion_token(ActivityLease("live", 1, "0:1", 5))  # type: ignore[arg-type]  # as stored


@activity
def work(x: int) -> int:
    return x


@orchestration
async def child(ctx: OrchestrationContext, x: int) -> int:
    return x + await ctx.wait_event("go", int)


@orchestration
async def quick(ctx: OrchestrationContext, x: int) -> int:
    return x + ctx.execution - 1


async def _page(client: Any, cursor: str) -> None:
    await client.list_page(ListInstances(after=cursor))


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    async with (
        open_provider("sqlite://") as provider,
        LocalRuntime(provider, Registry(child, quick, work)) as local,
    ):
        await local.client.start(child, 1, instance_id="live")
        await (await local.client.start(quick, 1, instance_id="done")).result(timeout=10)
        await local.client.wait_status_change("done", 0, 10)
        yield local.client


async def state(client: Any) -> object:
    """All that could have changed, less the first turn that is taken meanwhile."""
    seen = [info.instance async for info in client.list()]
    events = [event.kind for event in await client.history("live")]
    started = [kind for kind in events if kind != "EventSubscribed"]
    return seen, started, (await client.get("live")).cancel_requested, await client.limits()


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
            "Event name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
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
    (
        "get none",
        lambda c: c.get("nobody"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "history none",
        lambda c: c.history("nobody"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "result none",
        lambda c: c.get_handle("nobody").result(timeout=1),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "result timeout",
        lambda c: c.get_handle("live").result(timeout=0.05),
        ResultTimeoutError,
        "Instance 'live' has not ended after 0.05 s; it is Running",
    ),
    (
        "result type",
        lambda c: c.get_handle("done", dict).result(),
        PayloadError,
        (
            "the result of instance 'done' does not read as dict: Input should be an "
            "object (found 1)"
        ),
    ),
    (
        "list status",
        lambda c: c.list(statuses=["Runing"]).__anext__(),
        CallerError,
        (
            "There is no status 'Runing'; one of Pending, Running, Suspended, "
            "Blocked, Completed, Failed, Cancelled, Terminated, TimedOut is"
        ),
    ),
    (
        "list unknown",
        lambda c: c.list(nam="x").__anext__(),
        CallerError,
        (
            "There is no condition 'nam'; there are: name, version, statuses, prefix,"
            " parent, roots, tenant, created_after, created_before, finished_after, "
            "finished_before, attributes"
        ),
    ),
    (
        "list cursor",
        lambda c: _page(c, "garbage"),
        CallerError,
        "'garbage' is no cursor: pass `InstancePage.next` of the page before",
    ),
    (
        "list naive",
        lambda c: c.list(created_after=datetime(2020, 1, 1)).__anext__(),
        CallerError,
        (
            "created_after=2020-01-01T00:00:00 has no time zone; give one, as in "
            "datetime(2026, 1, 1, tzinfo=UTC)"
        ),
    ),
    (
        "list attr",
        lambda c: c.list(attributes={"a": [1]}).__anext__(),
        CallerError,
        "Attribute 'a' is a list; it must be a string, a number or a boolean",
    ),
    (
        "delete running",
        lambda c: c.delete("live"),
        InstanceUnfinishedError,
        (
            "Instance 'live' is not deleted: 'live' has not ended. Cancel or "
            "terminate it first, or delete with force=True"
        ),
    ),
    (
        "delete none",
        lambda c: c.delete("nobody"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "retire all",
        lambda c: c.retire(),
        CallerError,
        "Say what may go: older_than=, or finished_before=",
    ),
    (
        "retire neg",
        lambda c: c.retire(older_than=timedelta(days=-1)),
        CallerError,
        "older_than is -1 day, 0:00:00; it cannot be negative",
    ),
    (
        "prune none",
        lambda c: c.prune("nobody"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "limit nothing",
        lambda c: c.set_limit("k"),
        CallerError,
        "Limit 'k' limits nothing: give concurrency= or rate=",
    ),
    (
        "limit zero",
        lambda c: c.set_limit("k", concurrency=-1),
        CallerError,
        "Limit 'k': concurrency is -1; it must be a whole number of at least 0",
    ),
    (
        "limit period",
        lambda c: c.set_limit("k", rate=1, period=timedelta(0)),
        CallerError,
        "Limit 'k': period is 0:00:00; it must be longer than nothing",
    ),
    (
        "limit key",
        lambda c: c.set_limit("", rate=1),
        CallerError,
        "The key '' of a limit has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "limit type",
        lambda c: c.set_limit("k", rate="1"),
        CallerError,
        "Limit 'k': rate is '1'; it must be a whole number of at least 1",
    ),
    (
        "token bad",
        lambda c: c.complete_activity("nonsense", 1),
        CallerError,
        (
            "'nonsense' is no completion token; it is the text that "
            "`ActivityContext.defer` returned, whole"
        ),
    ),
    (
        "token gone",
        lambda c: c.complete_activity(TOK, 1),
        CallerError,
        (
            "Nobody waits for this answer to '0:1' of instance 'live': it was given "
            "too late (the attempt's time is over and another has begun), was given "
            "before, or the instance has ended"
        ),
    ),
    (
        "token obj",
        lambda c: c.complete_activity(TOK, object()),
        PayloadError,
        (
            "the result of an activity of type object has no JSON form: Unable to "
            "serialize unknown type: <class 'object'>"
        ),
    ),
    (
        "token ext",
        lambda c: c.extend_activity("x", timedelta(1)),
        CallerError,
        ("'x' is no completion token; it is the text that `ActivityContext.defer` returned, whole"),
    ),
    (
        "query unknown",
        lambda c: c.query("live", "nope", timeout=2),
        QueryError,
        (
            "Query 'nope' of instance 'live': UnknownQuery: there is no query 'nope' "
            "here; there are: none"
        ),
    ),
    (
        "query none",
        lambda c: c.query("nobody", "nope"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "update none",
        lambda c: c.update("nobody", "nope"),
        InstanceNotFoundError,
        "No instance has id 'nobody'",
    ),
    (
        "wait key timeout",
        lambda c: c.wait_key("live", "k", int, 0.05),
        ResultTimeoutError,
        "Instance 'live' has not set key 'k' within 0.05 s",
    ),
    (
        "wait status",
        lambda c: c.wait_status_change("live", 5, 0.05),
        ResultTimeoutError,
        ("Instance 'live' has set no custom status after version 5 within 0.05 s, and goes on"),
    ),
    (
        "bring in",
        lambda c: c.bring_in(["nonsense"]),
        PayloadError,
        "line 1 of the archive is no JSON object with a type: 'nonsense'",
    ),
]


@pytest.mark.parametrize(
    ("use", "kind", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
async def test_client(
    client: Any, use: Callable[[Any], Awaitable[object]], kind: type[Exception], message: str
) -> None:
    before = await state(client)
    with pytest.raises(Exception) as caught:  # noqa: PT011  the kind is looked at below
        await use(client)
    assert (type(caught.value), str(caught.value)) == (kind, message)
    assert await state(client) == before
