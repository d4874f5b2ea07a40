"""Orchestrations as classes: the same as functions, with the state in an object."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from perdure import (
    OrchestrationContext,
    OrchestrationDef,
    Registry,
    activity,
    event,
    orchestration,
    query,
    update,
)
from perdure.errors import DefinitionError, ForbiddenCallError
from perdure.model.codec import decode
from perdure.model.failure import Failure
from perdure.model.records import Outcome
from perdure.testing.scripted import ScriptedHistory


@activity
def price(item: str) -> int:
    return len(item)


@dataclass(frozen=True)
class Line:
    item: str
    count: int = 1


class Countable:
    """What a class inherits counts too."""

    lines: dict[str, int]

    @query
    def count(self) -> int:
        return len(self.lines)


class Cart(Countable):
    """A cart."""

    def __init__(self) -> None:
        self.lines = {}
        self.owner = ""
        self.paid = asyncio.Event()

    async def run(self, ctx: OrchestrationContext, owner: str, *, note: str = "") -> dict[str, Any]:
        self.owner = self.owner or owner
        ctx.status = note
        await self.paid.wait()
        return {"owner": self.owner, "lines": self.lines}

    @query(name="line-of")
    def line(self, item: str) -> int:
        return self.lines.get(item, 0)

    @update
    async def add(self, line: Line) -> int:
        self.lines[line.item] = line.count * await price(line.item)
        return await self.total()

    @add.validator
    def check(self, line: Line) -> None:
        if line.count < 1:
            raise ValueError("count below 1")

    async def total(self) -> int:
        return sum(self.lines.values())

    @event
    def renamed(self, owner: str) -> None:
        self.owner = owner

    @event(name="pay")
    async def on_pay(self) -> None:
        await price("fee")
        self.paid.set()


cart = orchestration(version="2.0.0")(Cart)
REGISTRY = Registry(cart, price)


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


def test_a_class_is_a_definition_like_any_other() -> None:
    assert isinstance(cart, OrchestrationDef)
    assert (cart.name, cart.version, cart.__doc__) == ("Cart", "2.0.0", "A cart.")
    assert cart.signature.names == ("owner", "note")
    assert "test_classes.py" in cart.place
    assert cart.encode_arguments("bob", note="x") == '{"owner":"bob","note":"x"}'


def test_a_decorator_does_the_same() -> None:
    decorated: Any = orchestration(Cart)
    assert isinstance(decorated, OrchestrationDef)
    assert decorated.version == "1.0.0"


@pytest.mark.parametrize("cached", [True, False], ids=["live", "cold"])
def test_methods_answer_and_are_called(cached: bool) -> None:
    history = ScriptedHistory(REGISTRY, cart, "bob", note="hello", cached=cached)
    history.raise_event("renamed", "before the start")
    history.turn()
    history.update("u1", "add", line=Line("apple", 2))
    history.update("u2", "add", line=Line("pear", 0))
    history.turn()
    history.complete("u.0:1", 5)
    history.raise_event("renamed", "alice")
    history.turn()
    assert history.answers()["u1"].result == "10"
    refused = history.answers()["u2"].failure
    assert refused is not None
    assert refused.message == "count below 1"
    assert history.query("line-of", item="apple") == 10
    assert history.query("count") == 1
    assert isinstance(history.query("line"), Failure)
    history.raise_event("pay")
    history.turn()
    history.complete("e.pay:2", 1)
    history.turn()
    assert output(history) == {"owner": "alice", "lines": {"apple": 10}}


def test_every_execution_has_an_object_of_its_own() -> None:
    for owner in ("a", "b"):
        history = ScriptedHistory(REGISTRY, cart, owner)
        history.turn()
        assert history.query("count") == 0
        history.update("u", "add", line=Line("x"))
        history.turn()
        history.complete("u.0:1", 1)
        history.turn()
        assert history.query("count") == 1


class Fragile:
    async def run(self, ctx: OrchestrationContext) -> None:
        await ctx.wait_event("end")

    @event
    async def number(self, value: int) -> None:
        if value == 0:
            raise ZeroDivisionError("zero")
        await asyncio.to_thread(print)


fragile = orchestration(Fragile)


@pytest.mark.parametrize(("data", "kind"), [(0, "ZeroDivisionError"), ("x", "PayloadError")])
def test_what_an_event_method_raises_fails_the_run(data: object, kind: str) -> None:
    history = ScriptedHistory(Registry(fragile), fragile)
    history.raise_event("number", data)
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.FAILED
    assert ending.failure is not None
    assert ending.failure.type == kind
    history.replay()


def test_forbidden_calls_of_an_event_method_park_the_run() -> None:
    history = ScriptedHistory(Registry(fragile), fragile)
    history.raise_event("number", 1)
    with pytest.raises(ForbiddenCallError, match="threads are not replayed"):
        history.turn()


class Empty: ...


class Sized:
    def __init__(self, size: int) -> None: ...

    async def run(self, ctx: OrchestrationContext) -> None: ...


class Nameless:
    async def run(self, ctx: OrchestrationContext) -> None: ...

    @query(name="")
    def look(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (Empty, r"'Empty' needs a method `async def run\(self, ctx"),
        (Sized, r"its __init__ takes some: missing .* 'size'"),
        (Nameless, r"query name '' cannot be"),
    ],
)
def test_classes_that_cannot_be(cls: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        orchestration(cls)
