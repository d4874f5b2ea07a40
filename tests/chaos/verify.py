"""Storage held against the ledger: nothing lost, nothing twice.

Four questions of every run: has it ended as it should, with what it should come to; has each call
in its history exactly one outcome; is every acknowledged number in what it came to, once, and
none that nobody sent; and are the rows of its transactional activities there, each once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from perdure.client import Client
from perdure.model import events as ev
from perdure.providers.reading import InstanceInfo, InstanceStatus
from tests.chaos.ledger import Entry

__all__ = ["Findings", "verify"]

_AT_ONCE = 16
_OUTCOMES = (
    ev.ActivityCompleted, ev.ActivityFailed, ev.TimerFired, ev.SubOrchestrationCompleted,
    ev.SubOrchestrationFailed,
)  # fmt: skip
_TALKERS = ("mailbox", "inbox", "account")


@dataclass(slots=True)
class Findings:
    """What is wrong, and how much was looked at."""

    lost: list[str] = field(default_factory=list[str])
    """Acknowledged, and not there or not ended."""
    doubled: list[str] = field(default_factory=list[str])
    """There more than once."""
    wrong: list[str] = field(default_factory=list[str])
    """Ended otherwise than it should."""
    runs: int = 0
    instances: int = 0
    """Runs, their children and what they started."""
    events: int = 0
    """Of all histories."""
    outcomes: int = 0
    """Of activities, timers and children."""
    rows: int = 0
    """Of transactional activities."""
    numbers: int = 0
    """Sent and acknowledged."""

    @property
    def all(self) -> list[str]:
        """Everything that is wrong."""
        return [
            *(f"lost: {each}" for each in self.lost),
            *(f"doubled: {each}" for each in self.doubled),
            *(f"wrong: {each}" for each in self.wrong),
        ]


async def verify(
    client: Client, connection: asyncpg.Connection, entries: Mapping[str, Entry]
) -> Findings:
    """Look at everything; storage is there and nothing runs any more."""
    found = Findings()
    infos = {str(info.instance): info async for info in _all(client)}
    found.instances, found.runs = len(infos), len(entries)
    for instance, entry in entries.items():
        found.numbers += len(entry.sent)
        _judge(found, instance, entry, infos.get(instance))
    _judge_strangers(found, entries, infos)
    await _judge_histories(found, client, list(infos))
    await _judge_rows(found, connection, entries)
    return found


async def _all(client: Client) -> AsyncIterator[InstanceInfo]:
    async for info in client.list():
        yield info


def _judge(found: Findings, instance: str, entry: Entry, info: InstanceInfo | None) -> None:
    if info is None:
        if entry.accepted:
            found.lost.append(f"{instance} was acknowledged and is not there")
        return
    if not info.status.is_terminal:
        why = f" ({info.block.reason}: {info.block.message})" if info.block else ""
        found.lost.append(f"{instance} has not ended: it is {info.status.value}{why}")
        return
    if info.status is not InstanceStatus.COMPLETED:
        why = "" if info.failure is None else f": {info.failure.message}"
        found.wrong.append(f"{instance} ended as {info.status.value}{why}")
        return
    result = json.loads(info.output or "null")
    if entry.kind not in _TALKERS:
        if result != entry.expected:
            found.wrong.append(f"{instance} came to {result}, not to {entry.expected}")
    else:
        _judge_numbers(found, instance, entry, result)


def _judge_numbers(found: Findings, instance: str, entry: Entry, result: list[int]) -> None:
    for number, times in Counter(result).items():
        if times > 1:
            found.doubled.append(f"{instance} got the number {number} {times} times")
    if lost := sorted({*entry.sent} - {*result}):
        found.lost.append(f"{instance} never got {lost}, which were acknowledged")
    if invented := sorted({*result} - {*entry.wished}):
        found.wrong.append(f"{instance} got {invented}, which nobody sent")
    if result != sorted(result):
        found.wrong.append(f"{instance} got its numbers out of order: {result}")


def _judge_strangers(
    found: Findings, entries: Mapping[str, Entry], infos: Mapping[str, InstanceInfo]
) -> None:
    """Look at what runs started: children and detached ones."""
    launched = {
        started
        for entry in entries.values()
        if entry.kind == "launch" and isinstance(entry.expected, list)
        for started in entry.expected
    }
    for instance in launched - set(infos):
        found.lost.append(f"{instance} was started by another and is not there")
    for instance, info in infos.items():
        if instance in entries:
            continue
        if info.parent is None and instance not in launched:
            found.wrong.append(f"{instance} is there, and nobody started it")
        elif info.status is not InstanceStatus.COMPLETED:
            found.lost.append(f"{instance}, which another started, is {info.status.value}")


async def _judge_histories(found: Findings, client: Client, instances: Sequence[str]) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(instance: str) -> None:
        async with gate:
            history = await client.history(instance)
        found.events += len(history)
        outcomes = Counter(
            (event.execution, event.operation) for event in history if isinstance(event, _OUTCOMES)
        )
        found.outcomes += outcomes.total()
        found.doubled += [
            f"{instance} has {times} outcomes of operation {operation} in execution {execution}"
            for (execution, operation), times in outcomes.items()
            if times > 1
        ]

    async with asyncio.TaskGroup() as group:
        for instance in instances:
            group.create_task(one(instance))


async def _judge_rows(
    found: Findings, connection: asyncpg.Connection, entries: Mapping[str, Entry]
) -> None:
    rows = await connection.fetch(
        "select instance, entry, count(*) as times from chaos_entry group by instance, entry"
    )
    there = {(row["instance"], row["entry"]): row["times"] for row in rows}
    found.rows = sum(there.values())
    wanted = {
        (instance, entry)
        for instance, each in entries.items()
        if each.accepted
        for entry in _rows_of(each)
    }
    found.doubled += [
        f"the row {entry} of {instance} is there {times} times"
        for (instance, entry), times in there.items()
        if times > 1
    ]
    found.lost += [
        f"the row {entry} of {instance} is not there" for instance, entry in wanted - set(there)
    ]
    known = {instance for instance, each in entries.items() if each.accepted}
    found.wrong += [
        f"the row {entry} of {instance} should not be there"
        for instance, entry in set(there) - wanted
        if instance in known
    ]


def _rows_of(entry: Entry) -> Iterator[str]:
    match entry.kind:
        case "purchase":
            for number in range(entry.arguments["entries"]):
                yield f"single-{number}"
                yield f"gathered-{number}"
        case "trip":
            for leg in range(entry.arguments["legs"]):
                yield f"leg-{leg}"
                yield f"undone-{leg}"
        case _:
            return
