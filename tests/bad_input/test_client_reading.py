"""Wrong uses of the client that read and administer, each with what its caller is told.

None of them changes anything: neither which instances there are, nor what has happened to them.
"""

# ruff: noqa: DTZ001  wrong uses do what nobody should

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from perdure.errors import (
    CallerError,
    InstanceNotFoundError,
    InstanceUnfinishedError,
    PayloadError,
    QueryError,
    ResultTimeoutError,
)
from perdure.providers.reading import ListInstances
from perdure.providers.tokens import completion_token
from perdure.providers.work import ActivityLease

TOK = completion_token(ActivityLease("live", 1, "0:1", 5))  # type: ignore[arg-type]  # as stored


async def _page(client: Any, cursor: str) -> None:
    await client.list_page(ListInstances(after=cursor))


WRONG: list[tuple[str, Callable[[Any], Awaitable[object]], type[Exception], str]] = [
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
        "Key of a limit '' has 0 bytes of UTF-8; it needs 1 to 253",
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
    (
        "query name nul",
        lambda c: c.query("live", "a\0"),
        CallerError,
        "Query name 'a\\x00' has a control character; leave it out",
    ),
    (
        "update id nul",
        lambda c: c.update("live", "u", update_id="a\0"),
        CallerError,
        "Update id 'a\\x00' has a control character; leave it out",
    ),
    (
        "key nul",
        lambda c: c.get_key("live", "a\0"),
        CallerError,
        "Key 'a\\x00' has a control character; leave it out",
    ),
    (
        "drop limit nul",
        lambda c: c.drop_limit("a\0"),
        CallerError,
        "Key of a limit 'a\\x00' has a control character; leave it out",
    ),
    (
        "list prefix nul",
        lambda c: c.list(prefix="a\0").__anext__(),
        CallerError,
        "No instance has the prefix 'a\\x00': it has a control character; leave it out",
    ),
    (
        "list tenant surrogate",
        lambda c: c.list(tenant="\ud800").__anext__(),
        CallerError,
        (
            "No instance has the tenant '\\ud800': it has half of a surrogate pair, which is not "
            "text; decode its source again"
        ),
    ),
    (
        "bulk condition",
        lambda c: c.bulk(nam="x").cancel(),
        CallerError,
        (
            "There is no condition 'nam'; there are: name, version, statuses, prefix, parent, "
            "roots, tenant, created_after, created_before, finished_after, finished_before, "
            "attributes"
        ),
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
