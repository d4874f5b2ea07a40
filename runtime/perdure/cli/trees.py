"""`perdure tree`: an instance, what it asked for, and its children, each with its state.

What an instance asked for is in its turns, how it ended in its messages, and what runs just now in
the executors' queue; the tree is the three laid over one another, for the current execution.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, assert_never

import typer
from rich.text import Text
from rich.tree import Tree

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect, read_instance
from perdure.cli.describe import duration, failure_line, status_text
from perdure.cli.output import Output, OutputOption, data_console, plain, print_document
from perdure.model.actions import (
    Action,
    AnswerUpdate,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CancelWait,
    ClearKey,
    ClearKeys,
    ContinueAsNew,
    CreateTimer,
    DequeueEvent,
    MarkPatch,
    ReadKey,
    RecordStep,
    RefuseCall,
    ScheduleActivity,
    SetAttributes,
    SetCustomStatus,
    SetKey,
    StartChild,
    StartDetached,
    TerminateChild,
    WaitEvent,
    WaitNext,
)
from perdure.model.codec import decode_failure
from perdure.model.ids import InstanceId, OperationId
from perdure.model.records import Record, RecordKind
from perdure.model.turns import decode_turn
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo, OpenActivity

__all__ = ["Branch", "grow", "tree"]

_SHOWN_MAX = 50
_DETAIL_WIDTH = 80
_STYLES = {
    "completed": "green",
    "fired": "green",
    "failed": "bold red",
    "running": "cyan",
    "waiting": "dim",
    "cancelled": "magenta",
}


@dataclass(slots=True)
class Step:
    """One thing that an execution asked for."""

    operation: str
    kind: str
    name: str
    state: str
    detail: str = ""

    def document(self) -> dict[str, object]:
        """As `-o json` prints it."""
        return {
            "operation": self.operation,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "detail": self.detail,
        }


@dataclass(slots=True)
class Branch:
    """An instance with its steps and children."""

    info: InstanceInfo
    steps: list[Step] = field(default_factory=list[Step])
    children: list[Branch] = field(default_factory=list["Branch"])
    is_cut: bool = False
    """It may have children deeper than was asked for."""

    def document(self) -> dict[str, object]:
        """As `-o json` prints it."""
        return {
            "instance": str(self.info.instance),
            "name": self.info.name,
            "status": self.info.status.value,
            "steps": [step.document() for step in self.steps],
            "children": [child.document() for child in self.children],
        }


def tree(
    *,
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", show_default=False)],
    depth: Annotated[
        int, typer.Option("--depth", min=0, help="How many generations of children.")
    ] = 5,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Show an instance, its activities, timers and waits, and its children, with their states.

    Examples:
        perdure tree order-17
        perdure tree order-17 --depth 0
    """

    async def go() -> Branch:
        async with connect(database_url, schema) as provider:
            return await grow(provider, await read_instance(provider, instance), depth)

    branch = asyncio.run(go())
    if output in {Output.JSON, Output.YAML}:
        print_document(branch.document(), output)
    else:
        data_console().print(_drawn(branch))


async def grow(provider: ClientProvider, info: InstanceInfo, depth: int) -> Branch:
    """Read an instance and `depth` generations of its children."""
    records, activities = await asyncio.gather(
        provider.read_history(info.instance, execution=info.execution),
        provider.read_activities([info.instance]),
    )
    steps, children = _steps(info, records, {one.operation: one for one in activities})
    branch = Branch(info=info, steps=steps, is_cut=bool(children) and depth == 0)
    if depth > 0 and children:
        infos = await provider.read_instances(children)
        branch.children = [await grow(provider, one, depth - 1) for one in infos if one is not None]
    return branch


def _steps(
    info: InstanceInfo, records: Sequence[Record], running: Mapping[OperationId, OpenActivity]
) -> tuple[list[Step], list[InstanceId]]:
    laid = _Laid(records, running)
    for record in records:
        if record.kind is RecordKind.TURN and record.body is not None:
            for action in decode_turn(record.body).actions:
                laid.add(action)
    if info.status.is_terminal:
        for operation in laid.steps:
            laid.cancel(operation)
    return list(laid.steps.values()), laid.children


class _Laid:
    """What turns asked for, laid over how it ended and what runs."""

    def __init__(
        self, records: Sequence[Record], running: Mapping[OperationId, OpenActivity]
    ) -> None:
        self.steps: dict[OperationId, Step] = {}
        self.children: list[InstanceId] = []
        self._running = running
        self._ends = {record.ref: record for record in records if record.kind in _ENDINGS}
        self._events = [record.ref for record in records if record.kind is RecordKind.EVENT_RAISED]
        self._queued = [record.ref for record in records if record.kind is RecordKind.EVENT_QUEUED]

    def add(self, action: Action) -> None:  # noqa: C901, PLR0912  one case for each kind
        """Lay one action."""
        match action:
            case ScheduleActivity(operation=operation):
                step = _activity(action, self._ends.get(operation), self._running)
                self.steps[operation] = step
            case CreateTimer(operation=operation):
                self.steps[operation] = _timer(action, self._ends.get(operation))
            case WaitEvent(operation=operation, name=name):
                self._awaits(operation, "event", name, self._events)
            case WaitNext(operation=operation, name=name):
                self._awaits(operation, "next event", name, self._events)
            case DequeueEvent(operation=operation, queue=queue):
                self._awaits(operation, "queue", queue, self._queued)
            case ReadKey(operation=operation):
                state = "completed" if operation in self._ends else "waiting"
                name = f"{action.key} of {action.instance}"
                self.steps[operation] = Step(operation, "key", name, state)
            case RecordStep(operation=operation, name=name, failure=failure):
                state, why = ("failed", failure_line(failure)) if failure else ("completed", "")
                self.steps[operation] = Step(operation, "step", name, state, why)
            case RefuseCall(operation=operation, call=call, message=message):
                self.steps[operation] = Step(operation, "call", call, "failed", message)
            case StartChild(instance=child) | StartDetached(instance=child):
                self.children.append(child)
            case CancelActivity() | CancelTimer() | CancelWait():
                self.cancel(action.operation)
            case CancelChild() | TerminateChild() | ContinueAsNew():
                return  # the child, or the next execution, shows it
            case SetCustomStatus() | SetAttributes() | SetKey() | ClearKey() | ClearKeys():
                return  # done at once, and shown with the instance
            case AnswerUpdate() | MarkPatch():
                return  # nothing to wait for
            case _:
                assert_never(action)

    def _awaits(
        self, operation: OperationId, kind: str, name: str, arrived: list[str | None]
    ) -> None:
        is_there = name in arrived
        if is_there:
            arrived.remove(name)
        state = "completed" if is_there else "waiting"
        self.steps[operation] = Step(operation, kind, name, state)

    def cancel(self, operation: OperationId) -> None:
        step = self.steps.get(operation)
        if step is not None and step.state in {"waiting", "running"}:
            step.state, step.detail = "cancelled", ""


_ENDINGS = {
    RecordKind.ACTIVITY_COMPLETED,
    RecordKind.ACTIVITY_FAILED,
    RecordKind.TIMER_FIRED,
    RecordKind.KEY_READ,
}


def _activity(
    action: ScheduleActivity, end: Record | None, running: Mapping[OperationId, OpenActivity]
) -> Step:
    step = Step(action.operation, "activity", action.name, "waiting")
    if end is not None and end.kind is RecordKind.ACTIVITY_FAILED:
        step.state = "failed"
        step.detail = failure_line(decode_failure(end.body)) if end.body else ""
    elif end is not None:
        step.state = "completed"
    elif (row := running.get(action.operation)) is not None:
        step.state = "running" if row.leased else "waiting"
        said = [f"attempt {row.attempt}"] if row.attempt > 1 or row.leased else []
        if row.tag:
            said.append(f"tag {row.tag}")
        if row.last_failure:
            said.append(f"last failure: {row.last_failure}")
        step.detail = ", ".join(said)
    return step


def _timer(action: CreateTimer, end: Record | None) -> Step:
    step = Step(action.operation, "timer", duration(action.delay), "waiting")
    if end is not None:
        step.state = "fired"
    else:
        left = action.fire_at - datetime.now(UTC)
        step.detail = f"due {'in ' if left.total_seconds() > 0 else ''}{duration(left)}"
    return step


def _drawn(branch: Branch) -> Tree:
    drawn = Tree(_head(branch.info), guide_style="dim")
    for step in branch.steps[-_SHOWN_MAX:]:
        line = Text(f"{step.kind} ", style="dim") + Text(plain(step.name)) + Text("  ")
        line += Text(step.state, style=_STYLES.get(step.state, ""))
        if step.detail:
            line += Text(f"  {plain(step.detail, width=_DETAIL_WIDTH)}", style="dim")
        drawn.add(line)
    if (hidden := len(branch.steps) - _SHOWN_MAX) > 0:
        drawn.add(Text(f"… and {hidden} earlier ones (-o json shows all)", style="dim"))
    for child in branch.children:
        drawn.children.append(_drawn(child))
    if branch.is_cut:
        drawn.add(Text("… has children: see more with --depth", style="dim"))
    return drawn


def _head(info: InstanceInfo) -> Text:
    head = Text(plain(info.instance), style="bold") + Text(f"  {plain(info.name)}  ")
    head += status_text(info.status)
    if info.failure is not None:
        head += Text(f"  {failure_line(info.failure, width=_DETAIL_WIDTH)}", style="dim")
    return head
