"""In scope: each kind of edit of a program with tasks, groups and a loop is told as what it is."""

from __future__ import annotations

import asyncio
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import NondeterminismError
from perdure.model.actions import CreateTimer, ScheduleActivity, StartChild, WaitEvent
from perdure.testing.scripted import ScriptedHistory

PROGRAM = """\
async def pack(order):
    box = await reserve(order)
    await label(box)

async def shop(ctx, rounds=3):
    ctx.set_custom_status("begun")
    await charge("all")
    await asyncio.gather(pack("a"), pack("b"))
    async with asyncio.TaskGroup() as group:
        group.create_task(pack("c"))
        notes = [notify("ada"), notify("bob")]
        await asyncio.gather(*notes)
    for number in range(rounds):
        await ship(f"part {number}")
    await asyncio.sleep(5)
    try:
        async with asyncio.timeout(60):
            await ctx.wait_event("received")
    finally:
        await archive("all")
    return "done"
"""


@activity
def reserve(what: str) -> str:
    return what


@activity
def label(what: str) -> str:
    return what


@activity
def charge(what: str) -> str:
    return what


@activity
def notify(what: str) -> str:
    return what


@activity
def ship(what: str) -> str:
    return what


@activity
def archive(what: str) -> str:
    return what


ACTIVITIES = (reserve, label, charge, notify, ship, archive)


def registry(source: str) -> Registry:
    """Compile a text of the program; both sides come from files of the same name."""
    scope: dict[str, Any] = {each.name: each for each in ACTIVITIES}
    scope |= {"asyncio": asyncio, "OrchestrationContext": OrchestrationContext}
    exec(compile(source, "/app/parts/shop.py", "exec"), scope)  # noqa: S102  our own text
    return Registry(orchestration(name="shop")(scope["shop"]), *ACTIVITIES)


def recorded() -> ScriptedHistory:
    """Run the program, each call being answered in the order of asking."""
    code = registry(PROGRAM)
    history = ScriptedHistory(code, code.resolve("shop"))

    def answer(action: Any) -> None:
        match action:
            case ScheduleActivity():
                history.complete(action.operation, action.name)
            case CreateTimer() if action.delay.total_seconds() < 60:
                history.fire(action.operation)
            case WaitEvent():
                history.raise_event(action.name)
            case StartChild():
                history.complete_child(action.operation, "child")
            case _:
                pass

    history.drive(answer)
    history.replay()
    return history


@dataclass(frozen=True)
class Edit:
    old: str
    new: str
    told: str
    """The verdict."""
    then: str = ""
    """History's side, where it has one."""
    now: str = ""
    remedy: str = ""


NEW = 'Let running instances pass by the new call: `if ctx.patched("..."):` around it. Or restore'
OLD = 'Keep the call for running instances: `if not ctx.patched("..."):` around it. Or restore'
BOTH = "Keep the old branch for running instances: `if ctx.patched"
VALUE = "Both come from the same line: if the code was not changed, a value was"

GROUP = "    async with asyncio.TaskGroup() as group:"

EDITS = {
    "inserted before the first": Edit(
        '    ctx.set_custom_status("begun")\n',
        '    await notify("all")\n    ctx.set_custom_status("begun")\n',
        "operation 0:1: `notify#1` was inserted before `custom-status#1`, or put in its place",
        "history has custom status with value",
        "the code asked for activity 'notify' with input",
        NEW,
    ),
    "inserted between": Edit(
        '    await charge("all")\n',
        '    await asyncio.sleep(1)\n    await charge("all")\n',
        "operation 0:2: `timer#1` was inserted before `charge#1`, or put in its place",
        'history has activity \'charge\' with input {"what":"all"} at parts/shop.py:7',
        "the code asked for timer with delay 0:00:01 at parts/shop.py:7",
        NEW,
    ),
    "inserted in a fan-out": Edit(
        'notes = [notify("ada"), notify("bob")]',
        'notes = [notify("ada"), notify("eve"), notify("bob")]',
        "operation 0:4: `notify#2` was inserted before `notify#2`",
        'history has activity \'notify\' with input {"what":"bob"} at parts/shop.py:11',
        'the code asked for activity \'notify\' with input {"what":"eve"} at parts/shop.py:11',
        NEW,
    ),
    "inserted in children of gather": Edit(
        "    await label(box)\n",
        "    await notify(box)\n    await label(box)\n",
        "operation 0.0:2: `label#1` was renamed to 'notify', or `notify#1` inserted before it",
        'history has activity \'label\' with input {"what":"reserve"} at parts/shop.py:3',
        'the code asked for activity \'notify\' with input {"what":"reserve"} at parts/shop.py:3',
        BOTH,
    ),
    "inserted at the end": Edit(
        '    return "done"\n',
        '    await notify("all")\n    return "done"\n',
        "operation 0:12: `notify#3` was inserted after `archive#1`",
        "history has nothing there",
        'the code asked for activity \'notify\' with input {"what":"all"} at parts/shop.py:21',
        NEW,
    ),
    "a round more": Edit(
        "rounds=3",
        "rounds=4",
        "operation 0:8: `ship#4` was inserted before `timer#1`, or put in its place",
    ),
    "a round less": Edit(
        "rounds=3",
        "rounds=2",
        "operation 0:7: `ship#3` was removed, or moved behind `timer#1`",
        'history has activity \'ship\' with input {"what":"part 2"} at parts/shop.py:14',
        "the code asked for timer with delay 0:00:05 at parts/shop.py:15",
        OLD,
    ),
    "removed": Edit(
        '    await charge("all")\n',
        "",
        "operation 0:2: `charge#1` was removed, or is asked for later",
        "history has activity 'charge'",
        "the code asked for nothing there",
        OLD,
    ),
    "removed at the end": Edit(
        '        await archive("all")\n',
        "        pass\n",
        "operation 0:11: `archive#1` was removed: history has activity 'archive'",
        "at parts/shop.py:20",
        "the code asked for nothing there",
        OLD,
    ),
    "removed in a child of the group": Edit(
        '        notes = [notify("ada"), notify("bob")]\n',
        '        notes = [notify("bob")]\n',
        "operation 0:3: `notify#1` was removed, or moved behind `notify#2`",
        'history has activity \'notify\' with input {"what":"ada"}',
        'the code asked for activity \'notify\' with input {"what":"bob"}',
        OLD,
    ),
    "a child of gather removed": Edit(
        'asyncio.gather(pack("a"), pack("b"))',
        'asyncio.gather(pack("a"))',
        "operation 0.1:1: `reserve#1` was removed, or is asked for later",
        'history has activity \'reserve\' with input {"what":"b"} at parts/shop.py:2',
        "the code asked for nothing there",
        OLD,
    ),
    "a child of gather added": Edit(
        'asyncio.gather(pack("a"), pack("b"))',
        'asyncio.gather(pack("a"), pack("b"), pack("x"))',
        "operation 0.2:1: `reserve#1` was inserted, as the first call of task 0.2",
        "history has nothing there",
        'the code asked for activity \'reserve\' with input {"what":"x"} at parts/shop.py:2',
        NEW,
    ),
    "renamed": Edit(
        "await label(box)",
        "await archive(box)",
        "operation 0.0:2: `label#1` was renamed to 'archive'",
        "history has activity 'label'",
        "the code asked for activity 'archive'",
        BOTH,
    ),
    "renamed event": Edit(
        'wait_event("received")',
        'wait_event("signed")',
        "operation 0:10: `received#1` was renamed to 'signed'",
        "history has wait for event 'received' at parts/shop.py:18",
        "the code asked for wait for event 'signed' at parts/shop.py:18",
        BOTH,
    ),
    "reordered": Edit(
        'notes = [notify("ada"), notify("bob")]',
        'notes = [notify("bob"), notify("ada")]',
        "operation 0:3: calls were reordered: `notify#2` now comes before `notify#1`",
        'history has activity \'notify\' with input {"what":"ada"}',
        'the code asked for activity \'notify\' with input {"what":"bob"}',
        BOTH,
    ),
    "moved behind another": Edit(
        '    await charge("all")\n    await asyncio.gather(pack("a"), pack("b"))\n',
        '    await asyncio.gather(pack("a"), pack("b"))\n    await charge("all")\n',
        "operation 0:2: `charge#1` was removed, or is asked for later",
        remedy=OLD,
    ),
    "asked for earlier": Edit(
        '    await charge("all")\n    await asyncio.gather(pack("a"), pack("b"))\n',
        '    await asyncio.gather(charge("all"), pack("a"), pack("b"))\n',
        "operation 0.0:1: `reserve#1` is asked for earlier: it waited for something before",
        remedy=BOTH,
    ),
    "moved into a task": Edit(
        '    await charge("all")\n',
        "    await asyncio.wait_for(asyncio.create_task(paying()), None)\n",
        "operation 0:2: `charge#1` was moved from the orchestration itself to task 0.0",
        "history has activity 'charge'",
        "the code asked for nothing there",
        BOTH,
    ),
    "other arguments": Edit(
        'pack("c")',
        'pack("d")',
        "operation 0.2:1: the input of `reserve#1` changed",
        'history has activity \'reserve\' with input {"what":"c"} at parts/shop.py:2',
        'the code asked for activity \'reserve\' with input {"what":"d"} at parts/shop.py:2',
        VALUE,
    ),
    "other arguments in a loop": Edit(
        'ship(f"part {number}")',
        'ship(f"parcel {number}")',
        "operation 0:5: the input of `ship#1` changed",
        remedy=VALUE,
    ),
    "other delay": Edit(
        "sleep(5)",
        "sleep(6)",
        "operation 0:8: the delay of `timer#1` changed",
        "history has timer with delay 0:00:05 at parts/shop.py:15",
        "the code asked for timer with delay 0:00:06 at parts/shop.py:15",
        VALUE,
    ),
    "other status, further down": Edit(
        '    ctx.set_custom_status("begun")\n',
        '\n    ctx.set_custom_status("started")\n',
        "operation 0:1: the value of `custom-status#1` changed",
        remedy=BOTH,
    ),
    "other result": Edit(
        'return "done"',
        'return "over"',
        "at the end of a turn",
        'history has Completed with "done"',
        'the code came to Completed with "over"',
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_told_with_both_sides_and_what_to_do(name: str) -> None:
    edit = EDITS[name]
    assert edit.old in PROGRAM
    source = PROGRAM.replace(edit.old, edit.new)
    source += textwrap.dedent("""\
        async def paying():
            await charge("all")
    """)
    with pytest.raises(NondeterminismError) as caught:
        recorded().replay(registry(source))
    message = str(caught.value)
    for part in (edit.told, edit.then, edit.now, edit.remedy):
        assert part in message
    assert "register the change as a new version" in message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('    await charge("all")\n', '    logged = 1\n\n\n    await charge("all")\n'),
        ("async def pack(order):", "async def pack(order, quickly=False):"),
        ("    for number in range(rounds):", "    for number in [0, 1, 2]:"),
        (GROUP, f"{GROUP}\n        pass\n{GROUP}"),
        ("asyncio.gather(*notes)", "asyncio.wait([asyncio.ensure_future(n) for n in notes])"),
    ],
)  # fmt: skip
def test_what_leaves_the_calls_alone_is_no_difference(old: str, new: str) -> None:
    assert old in PROGRAM
    recorded().replay(registry(PROGRAM.replace(old, new)))
