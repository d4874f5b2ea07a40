"""In scope: the patterns that put steps together, on virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from examples.patterns import (
    accumulate,
    all_or_nothing,
    batched_calls,
    bounded_fan_out,
    chain,
    conditional,
    dynamic_steps,
    fan_out,
    first_wins,
    join_different,
    nobody_serves,
    ordered_data,
    partial_failure,
    quorum,
    tags,
    timeout_race,
)
from perdure import ApplicationError, OrchestrationError
from perdure.model import events as ev

if TYPE_CHECKING:
    from perdure.testing import Environment


@pytest.mark.every_crash_point
async def test_chain(orch: Environment) -> None:
    run = await orch.start(chain.ship, "kettle")
    assert await run.result() == "tracking number of parcel with kettle in aisle 4"
    assert len(await run.scheduled(chain.pack)) == 1


@pytest.mark.parametrize(
    ("risk", "outcome"), [("low", "paid: roof"), ("high", "somebody looks at: roof")]
)
async def test_conditional(orch: Environment, risk: str, outcome: str) -> None:
    orch.mock(conditional.assess, returns=risk)
    run = await orch.start(conditional.settle, "roof")
    assert await run.result() == outcome


async def test_conditional_tosses_the_same_coin_on_every_replay(orch: Environment) -> None:
    orch.mock(conditional.assess, returns="medium")
    runs = [await orch.start(conditional.settle, "roof") for _ in range(12)]
    assert len({await run.result() for run in runs}) == 2


async def test_accumulate(orch: Environment) -> None:
    run = await orch.start(accumulate.translate_book, ["Ada met Grace", "Grace left"])
    assert await run.result() == (["ADA MET GRACE", "GRACE LEFT"], ["Ada", "Grace"])
    assert orch.calls(accumulate.translate)[1]["glossary"] == ["Ada", "Grace"]


async def test_dynamic_steps(orch: Environment) -> None:
    run = await orch.start(dynamic_steps.process, "cat", ["resize", "frame"])
    assert await run.result() == "framed small cat"
    wrong = await orch.start(dynamic_steps.process, "cat", ["resize", "melt"])
    with pytest.raises(OrchestrationError, match="no step 'melt'"):
        await wrong.result()
    assert await wrong.scheduled(dynamic_steps.resize) == []


@pytest.mark.every_crash_point
async def test_fan_out(orch: Environment) -> None:
    run = await orch.start(fan_out.measure, "Emma")
    assert await run.result() == 15
    assert len(await run.scheduled(fan_out.count_words)) == 5


@pytest.mark.every_crash_point
async def test_partial_failure(orch: Environment) -> None:
    run = await orch.start(partial_failure.import_rows, ["1", "two", "3"])
    found = await run.result()
    assert found.done == ["row 1", "row 3"]
    assert found.refused == {"two": "'two' is no number"}


async def test_all_or_nothing(orch: Environment) -> None:
    run = await orch.start(all_or_nothing.render_film, ["storm", "calm"])
    assert await run.result() == ["frames of storm", "frames of calm"]
    bad = await orch.start(all_or_nothing.render_film, ["a very long scene", "empty"])
    began = orch.now
    with pytest.raises(OrchestrationError, match="nothing to see"):
        await bad.result()
    assert orch.now - began < timedelta(seconds=5)
    history = await bad.history()
    assert any(isinstance(event, ev.ActivityCancelRequested) for event in history)


@pytest.mark.every_crash_point
async def test_join_different(orch: Environment) -> None:
    run = await orch.start(join_different.quote, "Ada", "lamp")
    assert await run.result() == "360 to Ada, 1 Main Street"


@pytest.mark.every_crash_point
async def test_first_wins(orch: Environment) -> None:
    run = await orch.start(first_wins.fastest, "emu", ["far", "near", "farther"])
    assert await run.result() == "emu from near"
    cancelled = [
        each for each in await run.history() if isinstance(each, ev.ActivityCancelRequested)
    ]
    assert len(cancelled) == 2


@pytest.mark.every_crash_point
async def test_quorum(orch: Environment) -> None:
    replicas = ["broken-1", "good-1", "good-2", "good-3"]
    run = await orch.start(quorum.read_quorum, "key", replicas, 2)
    assert await run.result() == [3, 3]
    few = await orch.start(quorum.read_quorum, "key", ["broken-1", "good-1"], 2)
    with pytest.raises(OrchestrationError, match="1 of 2 answers"):
        await few.result()


async def test_bounded_fan_out(orch: Environment) -> None:
    at_once, most = 0, 0

    async def crawl(page: str) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(1)  # may sleep: virtual time
        at_once -= 1
        return len(page)

    orch.mock(bounded_fan_out.crawl, by=crawl)
    run = await orch.start(bounded_fan_out.crawl_site, ["page"] * 10)
    assert await run.result() == 40
    assert most == 3


@pytest.mark.every_crash_point
async def test_batched_calls(orch: Environment) -> None:
    run = await orch.start(batched_calls.reprice, [f"sku-{number}" for number in range(250)])
    assert await run.result() == 250
    assert len(await run.scheduled(batched_calls.update_prices)) == 3


async def test_timeout_race(orch: Environment) -> None:
    quick = await orch.start(timeout_race.ask, "Tell me")
    assert await quick.result() == "yes"
    began = orch.now
    slow = await orch.start(timeout_race.ask, "Why?")
    assert await slow.result() == "no answer"
    assert orch.now - began >= timedelta(hours=24)
    assert any(isinstance(event, ev.ActivityCancelRequested) for event in await slow.history())


async def test_nobody_serves(orch: Environment) -> None:
    served = await orch.start(nobody_serves.render, "dawn")
    assert await served.result() == "dawn in colour"
    orch.mock(nobody_serves.render_fast, raises=ApplicationError("late", type="QueueTimeout"))
    late = await orch.start(nobody_serves.render, "noon")
    assert await late.result() == "noon in grey"
    orch.mock(nobody_serves.render_fast, raises=ValueError("out of memory"))
    failed = await orch.start(nobody_serves.render, "dusk")
    with pytest.raises(OrchestrationError, match="out of memory"):
        await failed.result()


async def test_ordered_data(orch: Environment) -> None:
    run = await orch.start(ordered_data.tour, [["Rome", "Oslo"], ["Oslo", "Bern"]])
    assert await run.result() == ["bern", "oslo", "rome"]
    assert [each["city"] for each in await run.scheduled(ordered_data.visit)] == [
        "Bern",
        "Oslo",
        "Rome",
    ]


async def test_tags(orch: Environment) -> None:
    run = await orch.start(tags.centre, ["a", "bc"])
    assert await run.result() == 98.0
    scheduled = [e for e in await run.history() if isinstance(e, ev.ActivityScheduled)]
    assert [each.tag for each in scheduled] == ["gpu", "gpu", ""]
