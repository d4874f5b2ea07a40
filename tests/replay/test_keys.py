"""The key-value map: read at once, written as decisions, the same on every replay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import NondeterminismError, PayloadError
from perdure.model.actions import ClearKey, ClearKeys, ReadKey, SetKey
from perdure.model.codec import decode
from perdure.model.ids import JsonText
from perdure.model.limits import Limits
from perdure.model.records import KeyValue, StartedBody
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure import OrchestrationDef


@activity
def work(what: str) -> str:
    return what


@dataclass(frozen=True)
class Point:
    x: int
    y: int


def output(history: ScriptedHistory) -> Any:
    ending = history.decided[-1].ending
    assert ending is not None
    assert ending.failure is None, ending.failure
    history.replay()
    return decode(ending.output, object)


@pytest.fixture(params=[True, False], ids=["live", "cold"])
def cached(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_a_mapping_like_any_other(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        kv = ctx.kv
        kv["a"] = {"n": 1}
        kv["b"] = [1, 2]
        kv.update(c="x", d=None)
        del kv["b"]
        before = [dict(kv), list(kv), len(kv), "a" in kv, "b" in kv, kv.get("b", "none")]
        await work("x")
        kv["a"]["n"] = 99  # a copy: the map is not changed
        found = [before, kv.pop("c"), kv.setdefault("a", 5), kv["d"]]
        kv.clear()
        return [*found, dict(kv)]

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    first = history.turn()
    assert [
        (each.key, each.value) if isinstance(each, SetKey) else type(each)
        for each in first.actions[:-1]
    ] == [("a", '{"n":1}'), ("b", "[1,2]"), ("c", '"x"'), ("d", "null"), ClearKey]
    history.complete("0:6", "")
    last = history.turn()
    assert [type(each) for each in last.actions] == [ClearKey, ClearKeys]
    before, *rest = output(history)
    whole = {"a": {"n": 1}, "c": "x", "d": None}
    assert before == [whole, ["a", "c", "d"], 3, True, False, "none"]
    assert rest == ["x", {"n": 1}, None, {}]


def test_missing_keys() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> int:
        with pytest.raises(KeyError):
            ctx.kv["x"]
        with pytest.raises(KeyError):
            del ctx.kv["x"]
        with pytest.raises(KeyError):
            ctx.kv.updated_at("x")
        ctx.kv.discard("x")
        ctx.kv.clear()
        return len(ctx.kv)

    history = ScriptedHistory(Registry(run), run)
    assert history.turn().actions == ()
    assert output(history) == 0


def test_typed() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        points = ctx.kv.typed(Point)
        untyped: Any = points
        points["p"] = Point(1, 2)
        ctx.kv["q"] = "none"
        with pytest.raises(PayloadError, match="the value of key 'q' does not read as Point"):
            points["q"]
        with pytest.raises(PayloadError, match="the value of key 'r' is declared Point, found str"):
            untyped["r"] = "x"
        return [points["p"].x, points.get("p") == Point(1, 2), ctx.kv["p"]]

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    assert output(history) == [1, True, {"x": 1, "y": 2}]


def test_read_modify_write_over_turns(cached: bool) -> None:
    """The seed's bug no. 7: replay saw later writes, so a counter was nondeterministic."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> int:
        counter = ctx.kv.typed(int)
        for _ in range(5):
            counter["n"] = counter.get("n", 0) + 1
            await work(str(counter["n"]))
        return counter["n"]

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.turn()
    for number in range(5):
        history.complete(f"0:{2 * number + 2}", "")
        history.turn()
    assert output(history) == 5
    assert [each.value for each in history.actions() if isinstance(each, SetKey)] == list("12345")


def test_prune_goes_by_recorded_times_in_order(cached: bool) -> None:
    """The seed stamped keys with the clock of the replay, and walked them in any order."""

    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        for key in "zyx":
            ctx.kv[key] = 0
        await work("wait")
        ctx.kv["y"] = 1
        ctx.kv["w"] = 1
        times = [ctx.kv.updated_at("z"), ctx.kv.updated_at("y")]
        return [ctx.kv.prune(ctx.now()), list(ctx.kv), times]

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.turn()
    history.wait(timedelta(minutes=1))
    history.complete("0:4", "")
    result = history.turn()
    assert [each.key for each in result.actions if isinstance(each, ClearKey)] == ["z", "x"]
    count, keys, (early, late) = output(history)
    assert (count, keys) == (2, ["y", "w"])
    assert datetime.fromisoformat(late) - datetime.fromisoformat(early) == timedelta(minutes=1)


def test_prune_refuses_a_time_without_a_zone() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> None:
        ctx.kv.prune(ctx.now().replace(tzinfo=None))

    history = ScriptedHistory(Registry(run), run)
    ending = history.turn().ending
    assert ending is not None
    assert ending.failure is not None
    assert "has no time zone; begin from ctx.now()" in ending.failure.message


def test_the_map_outlives_continue_as_new(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext, number: int) -> dict[str, Any]:
        ctx.kv[f"k{number}"] = number
        if number < 2:
            await ctx.continue_as_new(number + 1)
        ctx.kv.prune(ctx.kv.updated_at("k1"))
        return dict(ctx.kv)

    history = ScriptedHistory(Registry(run), run, 0, cached=cached)
    for _ in range(2):
        history.turn()
        history.wait(timedelta(seconds=1))
        history = history.follow()
    assert history.records[0].body is not None
    history.turn()
    assert output(history) == {"k1": 1, "k2": 2}


def test_a_history_needs_nothing_beside_it() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> Any:
        return ctx.kv["old"]

    probe = ScriptedHistory(Registry(run), run)
    started = StartedBody(
        "run", None, JsonText("{}"), keys=(KeyValue("old", JsonText('"kept"'), probe.now),)
    )
    history = ScriptedHistory(Registry(run), run, started=started)
    history.turn()
    assert output(history) == "kept"


def test_the_seeds_names() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        ctx.set_kv_value("a", 1)
        ctx.set_kv_value("b", {"x": 1, "y": 2})
        found: list[Any] = [ctx.get_kv_value("a"), ctx.get_kv_value("b", Point) == Point(1, 2)]
        found += [ctx.get_kv_value("c"), ctx.get_kv_all_keys(), ctx.get_kv_length()]
        found.append(ctx.get_kv_all_values())
        ctx.clear_kv_value("a")
        ctx.clear_kv_value("a")
        found.append(ctx.get_kv_length())
        found.append(ctx.prune_kv_values_updated_before(ctx.now() + timedelta(seconds=1)))
        ctx.set_kv_value("d", 1)
        ctx.clear_all_kv_values()
        return [*found, ctx.get_kv_all_keys()]

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    whole = {"a": 1, "b": {"x": 1, "y": 2}}
    assert output(history) == [1, True, None, ["a", "b"], 2, whole, 1, 1, []]


# ---------------------------------------------------------------- of other instances


def test_reading_another_instance(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> list[Any]:
        other = ctx.kv_of("other")
        first = other.get("p", Point)
        second = ctx.get_kv_value_from_instance("other", "q")
        third = other.get("r", int)
        return [await third, await second, (await first) == Point(1, 2)]

    history = ScriptedHistory(Registry(run), run, cached=cached)
    asked = history.turn().actions
    assert [(each.instance, each.key) for each in asked if isinstance(each, ReadKey)] == [
        ("other", "p"),
        ("other", "q"),
        ("other", "r"),
    ]
    history.read("0:1", Point(1, 2))
    history.read("0:3", None)
    history.turn()
    history.read("0:2", "text")
    history.turn()
    assert output(history) == [None, "text", True]


def test_another_instances_value_that_does_not_fit_is_the_codes_to_handle() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            await ctx.kv_of("other").get("p", Point)
        except PayloadError as error:
            return str(error)
        return ""

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    history.read("0:1", "no point")
    history.turn()
    assert "the value of key 'p' of instance 'other' does not read as Point" in output(history)


def test_a_reading_that_is_no_longer_awaited_finds_nobody(cached: bool) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        handle = ctx.kv_of("other").get("p")
        await work("x")
        handle.cancel()
        return await work("y")

    history = ScriptedHistory(Registry(run, work), run, cached=cached)
    history.turn()
    history.complete("0:2", "")
    history.turn()
    history.read("0:1", 1)
    history.turn()
    history.complete("0:3", "done")
    history.turn()
    assert output(history) == "done"


# --------------------------------------------------------------------------- limits


@orchestration
async def fill(ctx: OrchestrationContext, entries: list[list[Any]]) -> list[str]:
    refused: list[str] = []
    for key, value in entries:
        try:
            ctx.kv[key] = value
        except PayloadError as error:
            refused.append(str(error))
        await work(key)
    return [*refused, str(len(ctx.kv))]


@pytest.mark.parametrize(
    ("limits", "entries", "refused", "kept"),
    [
        (
            Limits(keys=2),
            [["a", 1], ["b", 1], ["c", 1], ["a", 2]],
            "key 'c' .* number 3; the limit is 2",
            2,
        ),
        (Limits(value_bytes=5), [["a", "123"], ["b", "1234"]], "'b' .* 6 bytes; the limit is 5", 1),
        (
            Limits(keys_total_bytes=10),
            [["a", "12"], ["b", "12"], ["a", "123"]],
            "with key 'a' .* is 11 bytes; the limit is 10",
            2,
        ),
    ],
)
def test_limits_are_refused_at_the_call_and_by_the_record_ever_after(
    limits: Limits, entries: list[list[Any]], refused: str, kept: int, cached: bool
) -> None:
    history = ScriptedHistory(Registry(fill, work), fill, entries, limits=limits, cached=cached)
    history.turn()
    for number in range(len(entries)):
        history.complete(f"0:{2 * number + 2}", "")
        history.turn()
    message, count = output(history)  # replays with limits that would not have refused
    assert re.search(refused, message), message
    assert count == str(kept)


def test_room_is_counted_right_over_all_changes() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> int:
        for _ in range(200):
            ctx.kv["a"] = "x" * 30
            ctx.kv["a"] = "y"
            del ctx.kv["a"]
            ctx.kv["b"] = "z" * 30
            ctx.kv.clear()
        return len(ctx.kv)

    history = ScriptedHistory(Registry(run), run, limits=Limits(keys_total_bytes=40))
    history.turn()
    assert output(history) == 0


@pytest.mark.parametrize("key", ["", "x" * 254, "a\x00b", "\ud800"])
def test_keys_that_cannot_be(key: str) -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> str:
        try:
            ctx.kv[key] = 1
        except PayloadError as error:
            return str(error).partition("cannot be: it")[2]
        return ""

    history = ScriptedHistory(Registry(run), run)
    result = history.turn()
    assert result.actions == ()
    assert output(history)


def test_odd_keys_and_empty_values_are_fine() -> None:
    @orchestration
    async def run(ctx: OrchestrationContext) -> dict[str, Any]:
        for key in ("a b", "ä/é.ü", "🙂", "x" * 253, "::"):
            ctx.kv[key] = ""
        return dict(ctx.kv)

    history = ScriptedHistory(Registry(run), run)
    history.turn()
    assert len(output(history)) == 5


# ------------------------------------------------------------------- nondeterminism


def program(write: Callable[[OrchestrationContext], object]) -> OrchestrationDef[[], None]:
    @orchestration(name="run")
    async def run(ctx: OrchestrationContext) -> None:
        write(ctx)
        await work("x")

    return run


@pytest.mark.parametrize(
    ("edited", "story"),
    [
        (
            lambda ctx: ctx.set_kv_value("other", 1),
            "renamed to 'other': .*key 'k'.*key 'other'",
        ),
        (lambda ctx: ctx.set_kv_value("k", 2), r"the value of `k#1` changed"),
        (lambda ctx: ctx.clear_kv_value("k"), "history has setting of key 'k' with value 1 at "),
        (lambda ctx: ctx.kv.clear(), "history has setting of key"),
    ],
)
def test_edits_of_key_writes_are_found(
    edited: Callable[[OrchestrationContext], object], story: str
) -> None:
    before, after = program(lambda ctx: ctx.set_kv_value("k", 1)), program(edited)
    history = ScriptedHistory(Registry(before, work), before)
    history.turn()
    with pytest.raises(NondeterminismError, match=story):
        history.replay(Registry(after, work))
