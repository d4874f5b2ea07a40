"""Wrong orchestrations, options, policies and registries, each with what its author is told."""

# ruff: noqa: ARG001  wrong uses do what nobody should

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, Retry, activity, orchestration
from perdure.errors import (
    DefinitionError,
    NotRegisteredError,
    PayloadError,
)
from perdure.model.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

# As whoever has no type checker: it would find most of these.
act: Any = activity
orch: Any = orchestration
retry: Any = Retry
registry: Any = Registry
limits: Any = Limits

PLACE = re.compile(r"\S+\.py:\d+")


def plain(x: int) -> int:
    return x


async def body(ctx: OrchestrationContext, x: int) -> int:
    return x


async def noctx() -> int:
    return 1


def sync(ctx: OrchestrationContext) -> int:
    return 1


def kw(**kw: int) -> int:
    return 1


class NoRun: ...


@activity(name="work")
def _work(x: int) -> int:
    return x


@orchestration(name="child")
async def _child(ctx: OrchestrationContext, x: int) -> int:
    return x


# As whoever has no type checker.
work: Any = _work
child: Any = _child


def twin() -> Any:
    @activity(name="work")
    def other(x: int) -> int:
        return x

    return other


def childtwin() -> Any:
    @orchestration(name="child")
    async def other(ctx: OrchestrationContext, x: int) -> int:
        return x

    return other


WRONG: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "orch sync",
        lambda: orch(sync),
        DefinitionError,
        "orchestration 'sync' must be `async def`",
    ),
    (
        "orch noctx",
        lambda: orch(noctx),
        DefinitionError,
        "orchestration 'noctx' must take `ctx: OrchestrationContext` first",
    ),
    (
        "orch version",
        lambda: orch(version="1.0")(body),
        DefinitionError,
        ("orchestration 'body': version '1.0' is not a semantic version such as '1.2.0'"),
    ),
    (
        "orch version v",
        lambda: orch(version="v1.0.0")(body),
        DefinitionError,
        ("orchestration 'body': version 'v1.0.0' is not a semantic version such as '1.2.0'"),
    ),
    (
        "orch version type",
        lambda: orch(version=1)(body),
        DefinitionError,
        ("orchestration 'body': version 1 is not a semantic version such as '1.2.0'"),
    ),
    (
        "orch name",
        lambda: orch(name="")(body),
        DefinitionError,
        ("orchestration name '' cannot be: it has 0 bytes of UTF-8; it needs 1 to 253"),
    ),
    (
        "orch policy",
        lambda: orch(on_nondeterminism="ignore")(body),
        DefinitionError,
        ("orchestration 'body': on_nondeterminism is 'ignore'; expected 'block' or 'fail'"),
    ),
    (
        "orch class norun",
        lambda: orch(NoRun),
        DefinitionError,
        "orchestration 'NoRun' needs a method `async def run(self, ctx, ...)`",
    ),
    (
        "orch notfn",
        lambda: orch("checkout"),
        DefinitionError,
        "@orchestration decorates a function; found 'checkout'",
    ),
    (
        "opt tag",
        lambda: work.options(tag="a,b"),
        DefinitionError,
        ("activity 'work': tag 'a,b' cannot be: it has a comma, which separates tags"),
    ),
    (
        "opt retry",
        lambda: work.options(retry=3),
        DefinitionError,
        ("activity 'work': retry is 3; expected a policy, such as Retry(max_attempts=5)"),
    ),
    (
        "opt instance long",
        lambda: child.options(instance_id="x" * 254),
        DefinitionError,
        (
            "orchestration 'child': instance id 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' cannot be: it has 254 "
            "bytes of UTF-8; it needs 1 to 253"
        ),
    ),
    (
        "opt instance nul",
        lambda: child.options(instance_id="a\0"),
        DefinitionError,
        (
            "orchestration 'child': instance id 'a\\x00' cannot be: it has a control "
            "character; leave it out"
        ),
    ),
    (
        "opt instance type",
        lambda: child.options(instance_id=17),
        DefinitionError,
        ("orchestration 'child': instance id 17 cannot be: it is of type int; it needs text"),
    ),
    (
        "opt version",
        lambda: child.options(version="latest"),
        DefinitionError,
        ("orchestration 'child': version 'latest' is not a semantic version such as '1.2.0'"),
    ),
    (
        "opt parent close",
        lambda: child.options(parent_close="kill"),
        DefinitionError,
        (
            "orchestration 'child': parent_close is 'kill'; it can be 'cancel', "
            "'terminate', 'abandon'"
        ),
    ),
    (
        "opt attr type",
        lambda: child.options(attributes={"a": [1]}),
        DefinitionError,
        (
            "orchestration 'child': attribute 'a' is a list; it can be a string, a "
            "number or a boolean"
        ),
    ),
    (
        "opt attr name",
        lambda: child.options(attributes={"": 1}),
        DefinitionError,
        (
            "orchestration 'child': attribute '' cannot be: it has 0 bytes of UTF-8; "
            "it needs 1 to 253"
        ),
    ),
    (
        "opt attr nan",
        lambda: child.options(attributes={"a": math.nan}),
        PayloadError,
        (
            "the attributes of orchestration 'child' holds a NaN or an infinite "
            "number, which JSON cannot carry; use None"
        ),
    ),
    (
        "opt priority",
        lambda: child.options(priority=-101),
        DefinitionError,
        ("orchestration 'child': priority is -101; it must be a whole number, -100 to 100"),
    ),
    (
        "opt timeout",
        lambda: child.options(timeout=-1),
        DefinitionError,
        "orchestration 'child': timeout is -1.0 s; it must be more than 0",
    ),
    (
        "retry attempts",
        lambda: retry(0),
        ValueError,
        "Retry.max_attempts is 0; it must be at least 1",
    ),
    (
        "retry attempts type",
        lambda: retry("5"),
        TypeError,
        "Retry.max_attempts is '5'; it must be a whole number",
    ),
    (
        "retry initial",
        lambda: retry(initial=timedelta(seconds=-1)),
        ValueError,
        "Retry.initial, Retry.longest and Retry.step must not be negative",
    ),
    (
        "retry initial number",
        lambda: retry(initial=5),
        TypeError,
        "Retry.initial is 5; expected a timedelta, as in timedelta(seconds=5)",
    ),
    (
        "retry factor",
        lambda: retry(factor=0.5),
        ValueError,
        "Retry.factor is 0.5; it must be a number of at least 1",
    ),
    (
        "retry jitter",
        lambda: retry(jitter=2),
        ValueError,
        "Retry.jitter is 2; it must be between 0 and 1",
    ),
    (
        "retry total",
        lambda: retry(total=timedelta(0)),
        ValueError,
        "Retry.total is 0.0 s; it must be more than 0",
    ),
    (
        "retry long",
        lambda: retry(longest=timedelta(days=40000)),
        ValueError,
        (
            "Retry.initial, Retry.longest, Retry.step and Retry.total must be at most"
            " 36,500 days; for no end, leave Retry.total at None"
        ),
    ),
    (
        "retry noton",
        lambda: retry(not_on="ValueError"),
        TypeError,
        (
            "Retry.not_on is 'ValueError'; expected names of exception types in a "
            "tuple, as in ('ValueError',)"
        ),
    ),
    (
        "retry noton class",
        lambda: retry(not_on=(ValueError,)),
        TypeError,
        (
            "Retry.not_on is (<class 'ValueError'>,); expected names of exception "
            "types in a tuple, as in ('ValueError',)"
        ),
    ),
    (
        "reg twice act",
        lambda: registry(work, twin()),
        DefinitionError,
        (
            "activity 'work' is defined twice: at FILE:LINE and at FILE:LINE; give "
            "one of them another name="
        ),
    ),
    (
        "reg twice orch",
        lambda: registry(child, childtwin()),
        DefinitionError,
        (
            "orchestration 'child' version 1.0.0 is defined twice: at FILE:LINE and "
            "at FILE:LINE; give the newer one a higher version="
        ),
    ),
    (
        "reg plain",
        lambda: registry(print),
        DefinitionError,
        (
            "a registry holds activities and orchestrations, not <built-in function "
            "print>: decorate it with @activity or @orchestration"
        ),
    ),
    (
        "reg missing",
        lambda: registry(child).resolve("chidl"),
        NotRegisteredError,
        "orchestration 'chidl' is not registered here; registered are: child",
    ),
    (
        "reg version",
        lambda: registry(child).resolve("child", "2.0.0"),
        NotRegisteredError,
        (
            "orchestration 'child' version 2.0.0 is not registered here; registered "
            "versions are: 1.0.0. Keep old versions until no instance runs them"
        ),
    ),
    (
        "reg badversion",
        lambda: registry(child).resolve("child", "two"),
        DefinitionError,
        ("orchestration 'child': version 'two' is not a semantic version such as '1.2.0'"),
    ),
    (
        "reg act",
        lambda: registry(work).activity("wrok"),
        NotRegisteredError,
        "activity 'wrok' is not registered here; registered are: work",
    ),
    (
        "reg module",
        lambda: registry.from_module("shop"),
        DefinitionError,
        "Registry.from_module takes modules, not 'shop': import it first",
    ),
    (
        "limits zero",
        lambda: limits(keys=0),
        ValueError,
        "Limits.keys is 0; it must be at least 1",
    ),
    (
        "limits big",
        lambda: limits(payload_bytes=10**9),
        ValueError,
        "Limits.payload_bytes is 1,000,000,000; it can be at most 2,097,152",
    ),
    (
        "limits type",
        lambda: limits(keys="many"),
        TypeError,
        "Limits.keys is 'many'; it must be a whole number",
    ),
]


@pytest.mark.parametrize(
    ("use", "kind", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_defining(use: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  the kind is looked at below
        use()
    assert (type(caught.value), PLACE.sub("FILE:LINE", str(caught.value))) == (kind, message)
