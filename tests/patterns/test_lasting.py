"""In scope: the patterns of runs that last, have children, change their code, and keep state."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from examples.patterns import (
    children,
    dashboard,
    detached,
    eternal,
    found_by,
    ids_and_time,
    keys,
    keys_of_another,
    left_behind,
    logs,
    long_loops,
    many_children,
    pages,
    patched,
    progress,
    quick_steps,
    versions,
)
from perdure.model import events as ev
from perdure.providers.reading import InstanceStatus

if TYPE_CHECKING:
    from perdure.testing import Environment


@pytest.mark.every_crash_point
async def test_children(orch: Environment) -> None:
    run = await orch.start(children.renovate, "hill", ["swamp", "town"])
    assert await run.result() == [
        "painted clean hill",
        "swamp is left as it is",
        "painted clean town",
    ]


async def test_children_are_cancelled_with_their_parent(orch: Environment) -> None:
    run = await orch.start(left_behind.night_shift, "cancel")
    await run.cancel("a strike")
    assert (await run.ended()).status is InstanceStatus.CANCELLED
    await orch.settle()
    watch = await orch.do((await orch.client()).get("watch-cancel"))
    assert (watch.status, watch.custom_status) == (InstanceStatus.CANCELLED, '"said goodbye"')


async def test_many_children(orch: Environment) -> None:
    run = await orch.start(many_children.thumbnails, 50, 10)
    assert await run.result() == sum(number % 7 for number in range(50))
    tree = await orch.do((await orch.client()).tree(run.instance_id))
    assert len(tree) == 6


@pytest.mark.every_crash_point
async def test_detached(orch: Environment) -> None:
    run = await orch.start(detached.register, "ada")
    assert await run.result() == "welcome-ada"
    client = await orch.client()
    mail = client.get_handle("welcome-ada", str)
    assert await orch.do(mail.result()) == "ada: hello"
    assert (await orch.do(client.get("welcome-ada"))).parent is None


@pytest.mark.parametrize(
    ("close", "status"),
    [
        ("cancel", InstanceStatus.CANCELLED),
        ("terminate", InstanceStatus.TERMINATED),
        ("abandon", InstanceStatus.RUNNING),
    ],
)
async def test_left_behind(orch: Environment, close: str, status: InstanceStatus) -> None:
    match close:
        case "cancel" | "terminate" | "abandon":
            run = await orch.start(left_behind.night_shift, close)
        case _:
            raise AssertionError(close)
    await run.raise_event("morning")
    assert await run.result() == "good night"
    await orch.settle()
    child = await orch.do((await orch.client()).get(f"watch-{close}"))
    assert child.status is status
    assert (child.custom_status == '"said goodbye"') is (close == "cancel")


async def test_eternal(orch: Environment) -> None:
    run = await orch.start(eternal.guard, "b1", 1.25)
    await orch.advance(minutes=4.5)
    info = await run.status()
    assert (info.execution, info.custom_status) == (5, '{"rounds":5,"alarms":2}')
    assert len(orch.calls(eternal.sound_alarm)) == 2
    await run.cancel()
    assert (await run.ended()).status is InstanceStatus.CANCELLED


async def test_pages(orch: Environment) -> None:
    orch.mock(pages.index_row, raises=ValueError("no such row"), times=1)
    run = await orch.start(pages.index, 25)
    assert await run.result() == 24
    assert (await run.status()).execution == 3


@pytest.mark.every_crash_point
async def test_pages_after_any_crash(orch: Environment) -> None:
    run = await orch.start(pages.index, 12)
    assert await run.result() == 12


async def test_long_loops(orch: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_loops, "ROUNDS", 5)
    run = await orch.start(long_loops.polish_all, 12)
    assert await run.result() == 12
    assert [each["stone"] for each in orch.calls(long_loops.polish)] == list(range(12))
    assert (await run.status()).execution == 3


async def test_versions(orch: Environment) -> None:
    old = await orch.start(versions.tend_1.options(version="1.0.0"), "fern", 2)
    assert (await old.status()).version == "1.0.0"
    orch.register(versions.tend)  # the new one is deployed while the old one sleeps
    assert await old.result() == ["watered fern", "fed fern"]
    assert (await old.status()).version == "1.1.0"
    new = await orch.start(versions.tend, "rose", 1)
    assert await new.result() == ["watered rose", "fed rose"]


@pytest.mark.every_crash_point
async def test_patched(orch: Environment) -> None:
    run = await orch.start(patched.invite, "Grace")
    await run.raise_event("answered", "yes")
    assert await run.result() == "mail to Grace: yes"
    assert any(isinstance(each, ev.PatchTaken) for each in await run.history())


async def test_progress(orch: Environment) -> None:
    seen: list[str | None] = []
    run = await orch.start(progress.copy_database, ["users", "orders"])
    seen = [each.value for each in await run.history() if isinstance(each, ev.CustomStatusUpdated)]
    assert await run.result() == 11
    assert seen == [
        '{"table":"users","percent":0}',
        '{"table":"orders","percent":50}',
        None,
    ]


async def test_keys(orch: Environment) -> None:
    run = await orch.start(keys.observe, ["roof", "cellar"], 3)
    assert await run.result() == {"roof": 12.0, "cellar": 18.0}
    assert await orch.do(run.handle.get_key("roof", float)) == 12.0


async def test_keys_of_another(orch: Environment) -> None:
    signs = await orch.start(keys_of_another.traffic_signs.options(instance_id="signs"), 50)
    slow = await orch.start(keys_of_another.car, "signs")
    assert await slow.result() == "drove at 50"
    await signs.raise_event("changed", 80)
    fast = await orch.start(keys_of_another.car, "signs")
    assert await fast.result() == "drove at 80"
    lost = await orch.start(keys_of_another.car, "nowhere")
    assert await lost.result() == "drove at 30"


async def test_found_by(orch: Environment) -> None:
    run = await orch.start(found_by.handle_ticket, "fire in room 3")
    await orch.settle()
    client = await orch.client()

    async def found(**attributes: object) -> list[str]:
        return [info.instance async for info in client.list(attributes=attributes)]

    assert await orch.do(found(team="red", open=True)) == [run.instance_id]
    await run.raise_event("answered", "it is out")
    assert await run.result() == "red: it is out"
    assert await orch.do(found(open=True)) == []


async def test_ids_and_time(orch: Environment) -> None:
    run = await orch.start(ids_and_time.sell_ticket)
    correlation, ticket = await run.result()
    assert UUID(correlation).version == 4
    assert ticket.startswith(f"{correlation}: ")
    other = await orch.start(ids_and_time.sell_ticket)
    assert (await other.result())[0] != correlation


@pytest.mark.every_crash_point
async def test_ids_and_time_after_any_crash(orch: Environment) -> None:
    run = await orch.start(ids_and_time.sell_ticket)
    correlation, ticket = await run.result()
    assert ticket.startswith(correlation)


async def test_quick_steps(orch: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREETING_LANGUAGE", "de")
    run = await orch.start(quick_steps.welcome, "Ada")
    assert await run.result() == "Hallo, Ada!"


async def test_dashboard(orch: Environment) -> None:
    for parcel in ("one", "two", "broken"):
        run = await orch.start(dashboard.delivery.options(instance_id=f"to-{parcel}"), parcel)
        await run.ended()
    found = await orch.do(dashboard.overview(await orch.client()))
    assert found.runs == {"Completed": 2, "Failed": 1}
    assert list(found.failed) == ["to-broken"]
    assert "nobody wants that" in found.failed["to-broken"]
    assert sum(found.waiting.values()) == 0


async def test_logs(orch: Environment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run = await orch.start(logs.breakfast, ["rye", "wheat"])
    assert await run.result() == ["warm rye", "warm wheat"]
    said = [record.getMessage() for record in caplog.records]
    assert said.count("breakfast for 2") == said.count("served") == 1
    assert said.count("baking rye") == 1
