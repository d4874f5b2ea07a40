"""In scope: the patterns that wait: for time, for people, for messages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from examples.patterns import (
    actor,
    answers,
    approval,
    as_a_class,
    batcher,
    callback,
    deadline,
    debounce,
    escalation,
    eternal_polling,
    follow_progress,
    fresh_event,
    inbox,
    later,
    messenger,
    pauses,
    periodic,
    polling,
    several_events,
)
from perdure import OrchestrationError, OrchestrationTimedOutError
from perdure.errors import UpdateError
from perdure.providers.reading import InstanceStatus

if TYPE_CHECKING:
    from perdure.testing import Environment


async def test_polling(orch: Environment) -> None:
    for answer in ("ready", "running", "running"):
        orch.mock(polling.export_state, returns=answer, times=1)
    began = orch.now
    run = await orch.start(polling.wait_for_export, "large")
    assert await run.result() == "ready"
    assert orch.now - began >= timedelta(seconds=10)
    never = await orch.start(polling.wait_for_export, "huge", 5, 4)
    with pytest.raises(OrchestrationError, match="not ready after 4 looks"):
        await never.result()


async def test_eternal_polling(orch: Environment) -> None:
    run = await orch.start(eternal_polling.follow_parcel, "lost")
    await orch.advance(hours=1)
    info = await run.status()
    assert (info.status, info.execution) == (InstanceStatus.RUNNING, 6)  # 1, 2, 4, 8, 16 minutes
    orch.mock(eternal_polling.is_delivered, returns=True)
    assert await run.result() == "lost was delivered"


async def test_later(orch: Environment) -> None:
    at = orch.now + timedelta(days=20)
    run = await orch.start(later.publish_at, "On Rust", at)
    await orch.advance(days=19)
    assert orch.calls(later.publish) == []
    assert await run.result() == "published On Rust"
    assert orch.now >= at
    past = await orch.start(later.publish_at, "On Dust", at - timedelta(days=1))
    assert await past.result(timeout=timedelta(seconds=1)) == "published On Dust"


async def test_periodic(orch: Environment) -> None:
    due = orch.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    orch.mock(periodic.read_meter, raises=ConnectionError("no line"), times=1)
    run = await orch.start(periodic.read_hourly, "m1", due)
    await orch.advance(hours=5, minutes=1)
    asked = [call["hour"] for call in orch.calls(periodic.read_meter)]
    assert asked == [due + number * timedelta(hours=1) for number in range(5)]
    status = await run.status()
    assert status.custom_status == '{"failures":1}'
    assert await orch.do(run.handle.get_key("reading", int)) == (due.hour + 4) % 24
    await run.cancel("enough")
    assert (await run.ended()).status is InstanceStatus.CANCELLED


async def test_debounce(orch: Environment) -> None:
    run = await orch.start(debounce.build_when_quiet)
    for revision in ("a", "b", "c"):
        await run.raise_event("pushed", revision)
        await orch.advance(seconds=20)
    assert orch.calls(debounce.build) == []
    assert await run.result() == "built c"
    assert len(orch.calls(debounce.build)) == 1


async def test_pauses(orch: Environment) -> None:
    began = orch.now
    run = await orch.start(pauses.dun, "Ada")
    assert await run.result() == "Ada goes to court"
    assert orch.now - began >= timedelta(weeks=3)
    assert [each["number"] for each in await run.scheduled(pauses.remind)] == [1, 2, 3]


async def test_deadline(orch: Environment) -> None:
    run = await orch.start(deadline.sell_seat, "4a")
    with pytest.raises(OrchestrationError, match="timed out"):
        await run.result()
    assert len(orch.calls(deadline.release)) == 1
    alone = await orch.start(deadline.hold_seat.options(timeout=60), "4b")
    with pytest.raises(OrchestrationTimedOutError):
        await alone.result()
    assert len(orch.calls(deadline.release)) == 2


async def test_approval(orch: Environment) -> None:
    run = await orch.start(approval.approve, "a new lamp")
    await orch.advance(hours=23)
    decision = approval.Decision(approved=True, by="Grace")
    await run.raise_event("decided", decision)
    assert await run.result() == decision
    nobody = await orch.start(approval.approve, "a yacht")
    assert await nobody.result() == approval.Decision(approved=False, by="nobody")


@pytest.mark.every_crash_point
async def test_approval_that_came_before_it_was_asked_for(orch: Environment) -> None:
    client = await orch.client()
    await orch.do(client.raise_event("early", "decided", {"approved": True, "by": "Grace"}))
    run = await orch.start(approval.approve.options(instance_id="early"), "a lamp")
    assert (await run.result()).by == "Grace"


async def test_escalation(orch: Environment) -> None:
    run = await orch.start(escalation.sign, "the lease", ["Ada", "Grace"])
    await orch.advance(hours=9)
    assert [each["person"] for each in orch.calls(escalation.ask_person)] == ["Ada", "Grace"]
    await run.raise_event("signed", "Ada")  # late, and in time
    assert await run.result() == "the lease, signed by Ada"
    nobody = await orch.start(escalation.sign, "the will", ["Ada"])
    with pytest.raises(OrchestrationError, match="nobody signed the will"):
        await nobody.result()


@pytest.mark.every_crash_point
async def test_several_events(orch: Environment) -> None:
    run = await orch.start(several_events.fulfil, "order-7")
    await run.raise_event("picked", 12)
    await run.raise_event("paid", "by card")
    assert await run.result() == "order-7 from shelf 12, by card"


async def test_fresh_event(orch: Environment) -> None:
    run = await orch.start(fresh_event.release_pressure, "v1")
    await run.raise_event("pressed")  # too early: it does not count
    await orch.advance(minutes=1)
    assert (await run.status()).custom_status == '"press now"'
    await run.raise_event("pressed")
    assert await run.result() == "v1 is open"


async def test_inbox(orch: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "TURNS", 3)
    run = await orch.start(inbox.chat)
    for number in range(7):
        await run.enqueue_event("inbox", f"line {number}")
    assert (await run.status()).custom_status == "\"7: you said 'line 6'\""
    await run.enqueue_event("inbox", "bye")
    assert await run.result() == 7
    assert (await run.status()).execution == 3


@pytest.mark.every_crash_point
async def test_inbox_loses_and_doubles_nothing(orch: Environment) -> None:
    run = await orch.start(inbox.chat)
    for line in ("one", "two", "bye"):
        await run.enqueue_event("inbox", line)
    assert await run.result() == 2
    assert [each["message"] for each in await run.scheduled(inbox.reply)] == ["one", "two"]


async def test_actor(orch: Environment) -> None:
    run = await orch.start(actor.account_of, actor.Account("Ada"))
    for verb, cents in (("deposit", 500), ("withdraw", 200), ("withdraw", 400)):
        await run.enqueue_event("commands", {"verb": verb, "cents": cents})
    assert await orch.do(run.handle.get_key("cents", int)) == 300
    await run.enqueue_event("commands", actor.Command("close"))
    assert await run.result() == actor.Account("Ada", 300, refused=1)


async def test_batcher(orch: Environment) -> None:
    run = await orch.start(batcher.digest, 3, 60)
    for number in range(4):
        await run.enqueue_event("news", f"line {number}")
    sent = [["line 0", "line 1", "line 2"]]
    assert [each["lines"] for each in orch.calls(batcher.send_digest)] == sent
    await orch.advance(seconds=61)
    assert [each["lines"] for each in orch.calls(batcher.send_digest)] == [*sent, ["line 3"]]
    await run.cancel()
    assert (await run.ended()).status is InstanceStatus.CANCELLED


async def test_answers(orch: Environment) -> None:
    run = await orch.start(answers.basket)
    assert await run.update("add", item="lamp") == 4
    assert await run.update("add", item="cup", count=2) == 10
    with pytest.raises(UpdateError, match="0 of cup"):
        await run.update("add", item="cup", count=0)
    assert await run.query("total") == 10
    await run.update("pay")
    assert await run.result() == {"lamp": 4, "cup": 6}
    assert await run.query("total") == 10


async def test_as_a_class(orch: Environment) -> None:
    run = await orch.start(as_a_class.thermostat, "the attic")
    assert await run.update("set_target", degrees=20.04) == 20.0
    with pytest.raises(UpdateError, match="90"):
        await run.update("set_target", degrees=90)
    await run.raise_event("measured", 17.5)
    assert await run.query("warmth") == 20.0
    await run.raise_event("switched_off")
    assert await run.result() == [17.5]


async def test_callback(orch: Environment) -> None:
    run = await orch.start(callback.insure, "the Duchess")
    await orch.advance(days=1)
    client = await orch.client()
    await orch.do(client.complete_activity(callback.DESK["the Duchess"], 9_000))
    assert await run.result() == "the Duchess is worth 9000"


async def test_callback_that_never_comes_is_asked_for_again(orch: Environment) -> None:
    run = await orch.start(callback.insure, "the Duke")
    await orch.advance(days=4)
    assert len(orch.calls(callback.appraise)) == 2
    client = await orch.client()
    await orch.do(client.fail_activity(callback.DESK["the Duke"], "a fake"))
    with pytest.raises(OrchestrationError, match="a fake"):
        await run.result()


@pytest.mark.every_crash_point
async def test_messenger(orch: Environment) -> None:
    ear = await orch.start(messenger.listener.options(instance_id="ear"), 2)
    mouth = await orch.start(messenger.speaker, "ear", ["be", "it"])
    await mouth.result()
    assert await ear.result() == ["be", "it"]


async def test_follow_progress(orch: Environment) -> None:
    orch.register(follow_progress.build_wall)
    client = await orch.client()
    seen = await orch.do(follow_progress.build_and_watch(client, 2))
    assert seen[-1] == "a wall of 2"
    assert "Running: 1" in seen
