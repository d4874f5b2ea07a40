"""What checkers infer of definitions: this file is checked, never run."""

# ruff: noqa: ARG001  every orchestration takes a context

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Generic, NamedTuple, Never, TypedDict, TypeVar, assert_type
from uuid import UUID

from pydantic import BaseModel

from perdure import (
    Activity,
    ActivityContext,
    OperationHandle,
    OrchestrationContext,
    OrchestrationDef,
    Registry,
    Retry,
    activity,
    orchestration,
)


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Row(TypedDict, total=False):
    key: str


class Model(BaseModel):
    name: str


@dataclass
class Box[T]:
    value: T


K = TypeVar("K")


@dataclass
class Old(Generic[K]):  # noqa: UP046  the old spelling counts too
    key: K


@activity
def plain(text: str, size: int = 3, *, loud: bool = False) -> list[float]:
    return [float(len(text))] * size


@activity
async def asynchronous(model: Model) -> Row:
    return {"key": model.name}


@activity
def with_context(ctx: ActivityContext, point: Point) -> Box[Colour]:
    return Box(Colour.RED)


@activity(name="other", tag="io", retry=Retry.fixed(timedelta(seconds=1)), timeout=5)
async def with_options(ctx: ActivityContext, key: Old[UUID] | None = None) -> Box[Box[int]]:
    return Box(Box(1))


@activity()
def with_parentheses() -> None: ...


@orchestration
async def parent(ctx: OrchestrationContext, boxes: dict[str, Box[int]]) -> tuple[int, str]:
    return 1, ctx.name


@orchestration(name="other", version="2.1.0")
async def for_ever(ctx: OrchestrationContext, round_: int) -> Never:
    await ctx.continue_as_new(round_ + 1)


class Cart:
    def __init__(self) -> None:
        self.items: list[str] = []

    async def run(self, ctx: OrchestrationContext, owner: str) -> int:
        self.items.append(f"{owner} {ctx.name}")
        return len(self.items)


cart = orchestration(Cart)


def objects() -> None:
    _one: Activity[..., list[float]] = plain
    _two: Activity[[Model], Row] = asynchronous
    _three: Activity[[Point], Box[Colour]] = with_context
    _four: OrchestrationDef[[dict[str, Box[int]]], tuple[int, str]] = parent
    _five: OrchestrationDef[[int], Never] = for_ever
    assert_type(with_parentheses, Activity[[], None])
    _six: OrchestrationDef[[str], int] = cart
    Registry(plain, asynchronous, with_context, with_options, with_parentheses, parent, cart)


def calls() -> None:
    assert_type(plain("x", 4, loud=True), OperationHandle[list[float]])
    assert_type(asynchronous(Model(name="x")), OperationHandle[Row])
    assert_type(with_context(Point(1, 2)), OperationHandle[Box[Colour]])
    assert_type(with_options(), OperationHandle[Box[Box[int]]])
    assert_type(with_options.options(tag="x")(None), OperationHandle[Box[Box[int]]])
    assert_type(with_parentheses(), OperationHandle[None])
    assert_type(parent({"a": Box(1)}), OperationHandle[tuple[int, str]])
    assert_type(cart("me"), OperationHandle[int])
    assert_type(parent.options(instance_id="a", version="1.0.0", timeout=5)({}).done(), bool)


def bodies() -> None:
    _body: Callable[..., Any] = plain.fn
    _coroutine: Coroutine[Any, Any, tuple[int, str]] = parent.fn(context(), {})


def context() -> OrchestrationContext: ...  # type: ignore[empty-body]  # never called
