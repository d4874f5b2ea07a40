"""Wrong activities and calls where none can be, each with the message that its author gets."""

# ruff: noqa: ARG001  wrong uses do what nobody should

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, Retry, activity, current, orchestration
from perdure.errors import (
    DefinitionError,
    ForbiddenCallError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# As whoever has no type checker: it would find most of these.
act: Any = activity
retry: Any = Retry
registry: Any = Registry

PLACE = re.compile(r"\S+\.py:\d+")


def plain(x: int) -> int:
    return x


def sync(ctx: OrchestrationContext) -> int:
    return 1


def star(*args: int) -> int:
    return 1


def kw(**kw: int) -> int:
    return 1


def posonly(x: int, /) -> int:
    return 1


def generic[T](x: T) -> T:
    return x


def unresolved(x: Nowhere) -> int:  # type: ignore[name-defined]  # noqa: F821  that is the mistake
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


WRONG: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "act name empty",
        lambda: act(name="")(plain),
        DefinitionError,
        "activity name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "act name long",
        lambda: act(name="x" * 254)(plain),
        DefinitionError,
        (
            "activity name 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxx' cannot be: it has 254 bytes of UTF-8; it needs "
            "1 to 253"
        ),
    ),
    (
        "act name nul",
        lambda: act(name="a\0b")(plain),
        DefinitionError,
        ("activity name 'a\\x00b' cannot be: it has a control character; leave it out"),
    ),
    (
        "act name type",
        lambda: act(name=7)(plain),
        DefinitionError,
        "activity name 7 cannot be: it is of type int; it needs text",
    ),
    (
        "act tag long",
        lambda: act(tag="x" * 64)(plain),
        DefinitionError,
        (
            "activity 'plain': tag "
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' "
            "cannot be: it has 64 bytes of UTF-8; it needs 1 to 63"
        ),
    ),
    (
        "act tag comma",
        lambda: act(tag="a,b")(plain),
        DefinitionError,
        ("activity 'plain': tag 'a,b' cannot be: it has a comma, which separates tags"),
    ),
    (
        "act tag type",
        lambda: act(tag=["a"])(plain),
        DefinitionError,
        "activity 'plain': tag ['a'] cannot be: it is of type list; it needs text",
    ),
    (
        "act timeout zero",
        lambda: act(timeout=0)(plain),
        DefinitionError,
        "activity 'plain': timeout is 0.0 s; it must be more than 0",
    ),
    (
        "act timeout neg",
        lambda: act(timeout=-3)(plain),
        DefinitionError,
        "activity 'plain': timeout is -3.0 s; it must be more than 0",
    ),
    (
        "act timeout inf",
        lambda: act(timeout=math.inf)(plain),
        DefinitionError,
        ("activity 'plain': timeout is inf s, which is no time; for no end, set none"),
    ),
    (
        "act timeout long",
        lambda: act(timeout=timedelta(days=40000))(plain),
        DefinitionError,
        ("activity 'plain': timeout is 40,000 days; at most 36,500, or for no end none"),
    ),
    (
        "act timeout text",
        lambda: act(timeout="5s")(plain),
        DefinitionError,
        ("activity 'plain': timeout is '5s'; expected a number of seconds or a timedelta"),
    ),
    (
        "act retry int",
        lambda: act(retry=5)(plain),
        DefinitionError,
        ("activity 'plain': retry is 5; expected a policy, such as Retry(max_attempts=5)"),
    ),
    (
        "act priority",
        lambda: act(priority=101)(plain),
        DefinitionError,
        ("activity 'plain': priority is 101; it must be a whole number, -100 to 100"),
    ),
    (
        "act priority text",
        lambda: act(priority="high")(plain),
        DefinitionError,
        ("activity 'plain': priority is 'high'; it must be a whole number, -100 to 100"),
    ),
    (
        "act session empty",
        lambda: act(session="")(plain),
        DefinitionError,
        ("activity 'plain': session '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253"),
    ),
    (
        "act limit nul",
        lambda: act(limit="a\nb")(plain),
        DefinitionError,
        ("activity 'plain': limit 'a\\nb' cannot be: it has a control character; leave it out"),
    ),
    (
        "act queue timeout",
        lambda: act(queue_timeout=0)(plain),
        DefinitionError,
        "activity 'plain': queue_timeout is 0.0 s; it must be more than 0",
    ),
    (
        "act heartbeat",
        lambda: act(heartbeat_timeout=timedelta(seconds=-1))(plain),
        DefinitionError,
        "activity 'plain': heartbeat_timeout is -1.0 s; it must be more than 0",
    ),
    (
        "act option unknown",
        lambda: act(tags="gpu")(plain),
        TypeError,
        (
            "@activity has no option 'tags'; it has name, tag, retry, timeout, "
            "session, priority, limit, queue_timeout, heartbeat_timeout, "
            "transactional"
        ),
    ),
    (
        "act transactional sync",
        lambda: act(transactional=True)(plain),
        DefinitionError,
        ("activity 'plain' is transactional, so it must be `async def`: it shares a connection"),
    ),
    (
        "act star",
        lambda: act(star),
        DefinitionError,
        (
            "activity 'star' takes *args; arguments travel by name, so every "
            "parameter needs one: take a list or a dict instead"
        ),
    ),
    (
        "act kw",
        lambda: act(kw),
        DefinitionError,
        (
            "activity 'kw' takes **kw; arguments travel by name, so every "
            "parameter needs one: take a list or a dict instead"
        ),
    ),
    (
        "act posonly",
        lambda: act(posonly),
        DefinitionError,
        "activity 'posonly': parameter 'x' is positional-only; drop the `/`",
    ),
    (
        "act generic",
        lambda: registry(act(generic)),
        DefinitionError,
        (
            "activity 'generic' is generic: parameter 'x' is declared with the type "
            "variable T, and whoever reads it back is not told what that was. Name "
            "the type, or write one definition for each"
        ),
    ),
    (
        "act unresolved",
        lambda: registry(act(unresolved)),
        DefinitionError,
        ("activity 'unresolved': an annotation cannot be resolved: name 'Nowhere' is not defined"),
    ),
    (
        "act notfn",
        lambda: act(3),
        DefinitionError,
        "@activity decorates a function; found 3",
    ),
    (
        "act twice",
        lambda: act(work),
        DefinitionError,
        "activity 'work' is decorated twice: @activity takes the plain function",
    ),
    (
        "call outside",
        lambda: work(1),
        ForbiddenCallError,
        (
            "activity 'work' was called where no orchestration runs; call it in a "
            "function decorated with @orchestration, or call the plain function "
            "work.fn(...)"
        ),
    ),
    (
        "call child outside",
        lambda: child(1),
        ForbiddenCallError,
        (
            "orchestration 'child' was called where no orchestration runs; call it in"
            " a function decorated with @orchestration, or call the plain function "
            "child.fn(...), or start it with Client.start(...)"
        ),
    ),
    (
        "current outside",
        current,
        ForbiddenCallError,
        (
            "perdure.current() was called where no orchestration runs; call it from a"
            " function decorated with @orchestration, or from one that it awaits"
        ),
    ),
]


@pytest.mark.parametrize(
    ("use", "kind", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_defining(use: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  the kind is looked at below
        use()
    assert (type(caught.value), PLACE.sub("FILE:LINE", str(caught.value))) == (kind, message)
