"""What a check works with: a provider, its clock, and short words for the verbs.

Everything that a check needs of storage is in `Storage`: whoever writes a provider hands in one
for each check. The clock is the provider's time; nothing ever sleeps until a lease ends.
"""

from __future__ import annotations

import itertools
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from perdure.model.codec import encode_started
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import (
    UNTAGGED,
    ExecutorId,
    InstanceId,
    JsonText,
    LeaseToken,
    OperationId,
)
from perdure.model.options import ActivityOptions
from perdure.model.records import (
    Ending,
    Outcome,
    ParentClose,
    ParentLink,
    Record,
    RecordKind,
    StartedBody,
)
from perdure.providers.protocol import Provider
from perdure.providers.reading import InstanceInfo
from perdure.providers.work import (
    AbandonTurn,
    ActivityCompleted,
    ActivityLease,
    ActivityResult,
    CodeId,
    CommitOutcome,
    EnqueueOutcome,
    FetchActivities,
    FetchTurns,
    FinishOutcome,
    LeasedActivity,
    LeasedTurn,
    Message,
    NewActivity,
    NewInstance,
    NewTimer,
    SessionTerms,
    TurnCommit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.model.policy import Retry
    from perdure.providers.administering import Answer
    from perdure.providers.work import ActivityEnd

__all__ = ["ManualClock", "Storage", "World", "boom"]

LEASE = timedelta(seconds=30)
NAME = "orchestrate"
VERSION = "1.0.0"
MOMENT = timedelta(milliseconds=1)


class ManualClock:
    """Time that moves when it is told to, and a microsecond whenever it is read."""

    def __init__(self) -> None:
        self._now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Read the time; no two reads give the same."""
        self._now += timedelta(microseconds=1)
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move on."""
        self._now += by


class Storage(Protocol):
    """One empty storage, made for one check."""

    @property
    def clock(self) -> ManualClock:
        """What all its providers take for the time."""
        ...

    def open(self, *, inbox_limit: int = 10_000) -> AbstractAsyncContextManager[Provider]:
        """Another process's provider on the same storage."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """A provider, and short words for what checks do with it."""

    storage: Storage
    provider: Provider
    _tokens: itertools.count[int]

    @classmethod
    def of(cls, storage: Storage, provider: Provider) -> World:
        """Begin a check."""
        return cls(storage, provider, itertools.count(1_000_000))

    def with_provider(self, provider: Provider) -> World:
        """See the same storage through another process."""
        return replace(self, provider=provider)

    def advance(self, by: timedelta) -> None:
        """Move the clock."""
        self.storage.clock.advance(by)

    def token(self) -> LeaseToken:
        """Make a token that nobody has."""
        return LeaseToken(next(self._tokens))

    # -------------------------------------------------------------------------- messages

    def starting(
        self,
        instance: str,
        *,
        name: str = NAME,
        version: str | None = None,
        parent: ParentLink | None = None,
        data: str = "{}",
        watched: bool = False,
        tenant: str = "",
        token: LeaseToken | None = None,
        parent_close: ParentClose = ParentClose.CANCEL,
        attributes: str | None = None,
        limit: str | None = None,
    ) -> Message:
        """Make the start of an instance."""
        body = StartedBody(name, version, JsonText(data), parent=parent)
        new = NewInstance(
            name,
            version,
            tenant=tenant,
            parent=None if parent is None else parent.instance,
            watched=watched,
            parent_close=parent_close,
            attributes=None if attributes is None else JsonText(attributes),
            limit=limit,
        )
        return Message(
            InstanceId(instance),
            RecordKind.STARTED,
            body=encode_started(body),
            start=new,
            token=token or self.token(),
        )

    def event(
        self, instance: str, name: str = "event", data: str = "1", token: LeaseToken | None = None
    ) -> Message:
        """Make an event."""
        return Message(
            InstanceId(instance),
            RecordKind.EVENT_RAISED,
            ref=name,
            body=JsonText(data),
            token=token or self.token(),
        )

    def queued(self, instance: str, queue: str = "queue", data: str = "1") -> Message:
        """Make an item for a queue of an instance."""
        return Message(
            InstanceId(instance),
            RecordKind.EVENT_QUEUED,
            ref=queue,
            body=JsonText(data),
            token=self.token(),
        )

    def update(self, instance: str, update: str = "u1", data: str = "{}") -> Message:
        """Make a request for an update; every one has another token, as of another sender."""
        return Message(
            InstanceId(instance),
            RecordKind.UPDATE_REQUESTED,
            ref=update,
            body=JsonText(f'{{"name":"set","input":{data}}}'),
            token=self.token(),
        )

    def cancel(self, instance: str, reason: str = "enough") -> Message:
        """Make a request to cancel."""
        return Message(
            InstanceId(instance),
            RecordKind.CANCEL_REQUESTED,
            body=JsonText(f'"{reason}"'),
            token=self.token(),
        )

    async def send(self, *messages: Message) -> Sequence[EnqueueOutcome]:
        """Enqueue."""
        return list(await self.provider.enqueue(messages))

    async def start(self, *instances: str, **options: Any) -> None:
        """Start instances; all must be accepted."""
        outcomes = await self.send(*(self.starting(each, **options) for each in instances))
        assert outcomes == [EnqueueOutcome.ACCEPTED] * len(instances), outcomes

    # ----------------------------------------------------------------------------- turns

    async def turns(
        self,
        *,
        limit: int = 100,
        executor: int = 1,
        code: Sequence[tuple[str, str]] = ((NAME, VERSION),),
        lease: timedelta = LEASE,
    ) -> Sequence[LeasedTurn]:
        """Fetch turns."""
        return (await self.fetched(limit=limit, executor=executor, code=code, lease=lease))[0]

    async def fetched(
        self,
        *,
        limit: int = 100,
        executor: int = 1,
        code: Sequence[tuple[str, str]] = ((NAME, VERSION),),
        lease: timedelta = LEASE,
    ) -> tuple[Sequence[LeasedTurn], timedelta | None]:
        """Fetch turns, with the time until more is due."""
        request = FetchTurns(
            ExecutorId(executor), self.token(), limit, lease, [CodeId(*each) for each in code]
        )
        found = await self.provider.fetch_turns(request)
        return found.turns, found.next_due

    async def turn(self, **options: Any) -> LeasedTurn:
        """Fetch the one turn that is due."""
        turns = await self.turns(**options)
        assert len(turns) == 1, f"one turn is due, {len(turns)} were fetched"
        return turns[0]

    def commit_of(self, turn: LeasedTurn, **decisions: Any) -> TurnCommit:
        """Make the commit of a turn that decided this."""
        decisions.setdefault("version", VERSION)
        decisions.setdefault("body", JsonText('{"decided":true}'))
        return TurnCommit(turn.instance, turn.execution, turn.token, turn.upto, **decisions)

    async def commit(self, turn: LeasedTurn, **decisions: Any) -> CommitOutcome:
        """Commit one turn."""
        return (await self.provider.commit_turns([self.commit_of(turn, **decisions)]))[0]

    async def advance_turn(self, **decisions: Any) -> LeasedTurn:
        """Fetch the one turn that is due and commit it."""
        turn = await self.turn()
        outcome = await self.commit(turn, **decisions)
        assert outcome is CommitOutcome.COMMITTED
        return turn

    async def advance_of(self, instance: str, **decisions: Any) -> LeasedTurn:
        """Commit the turn of one instance, leaving what else is due."""
        turn = await self.turn_of(instance)
        assert await self.commit(turn, **decisions) is CommitOutcome.COMMITTED
        return turn

    async def turn_of(self, instance: str) -> LeasedTurn:
        """Fetch the turn of one instance, leaving what else is due."""
        found = {turn.instance: turn for turn in await self.turns()}
        others = [each for each in found.values() if each.instance != instance]
        await self.provider.abandon_turns(
            [AbandonTurn(each.instance, each.token, count_attempt=False) for each in others]
        )
        return found[InstanceId(instance)]

    async def end(self, turn: LeasedTurn, result: str = '"done"', **decisions: Any) -> None:
        """Complete an instance."""
        ending = Ending(Outcome.COMPLETED, JsonText(result))
        assert await self.commit(turn, ending=ending, **decisions) is CommitOutcome.COMMITTED

    def again(self, data: str = "{}", name: str = NAME, version: str | None = None) -> Any:
        """Decisions that continue as new."""
        return {
            "ending": Ending(Outcome.CONTINUED_AS_NEW),
            "next_execution": StartedBody(name, version, JsonText(data)),
        }

    # ------------------------------------------------------------------------ activities

    def activity(
        self,
        operation: str = "0:1",
        *,
        tag: str = UNTAGGED,
        name: str = "act",
        data: str = "{}",
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        **options: Any,
    ) -> NewActivity:
        """Make an activity that a turn schedules; `options` are those of `ActivityOptions`."""
        return NewActivity(
            *(OperationId(operation), name, tag, JsonText(data), retry, timeout),
            ActivityOptions(**options) if options else None,
        )

    def timer(self, operation: str, after: timedelta) -> NewTimer:
        """Make a timer that fires so much later."""
        return NewTimer(OperationId(operation), self.storage.clock() + after)

    async def scheduled(self, instance: str, *activities: NewActivity) -> None:
        """Start an instance whose first turn schedules these."""
        await self.start(instance)
        await self.advance_turn(activities=activities)

    async def work(
        self,
        *tags: str,
        limit: int = 100,
        executor: int = 1,
        lease: timedelta = LEASE,
        sessions: SessionTerms | None = None,
    ) -> Sequence[LeasedActivity]:
        """Fetch activities; without tags the untagged ones."""
        request = FetchActivities(
            *(ExecutorId(executor), self.token(), tags or (UNTAGGED,), limit, lease),
            sessions=sessions,
        )
        return (await self.provider.fetch_activities(request)).activities

    async def one_work(self, *tags: str, **options: Any) -> LeasedActivity:
        """Fetch the one activity that is due."""
        found = await self.work(*tags, **options)
        assert len(found) == 1, f"one activity is due, {len(found)} were fetched"
        return found[0]

    def lease_of(self, work: LeasedActivity) -> ActivityLease:
        """Name a leased activity."""
        return ActivityLease(work.instance, work.execution, work.operation, work.token)

    async def finish(self, work: LeasedActivity, end: ActivityEnd | None = None) -> FinishOutcome:
        """Finish one activity, by default with a result."""
        result = ActivityResult(self.lease_of(work), end or ActivityCompleted(JsonText('"result"')))
        return (await self.provider.finish_activities([result]))[0]

    # --------------------------------------------------------------------------- reading

    async def info(self, instance: str) -> InstanceInfo:
        """Read an instance that must be there."""
        found = (await self.provider.read_instances([InstanceId(instance)]))[0]
        assert found is not None, f"{instance} is not there"
        return found

    async def history(self, instance: str, **options: Any) -> Sequence[Record]:
        """Read the history of an instance."""
        return await self.provider.read_history(InstanceId(instance), **options)

    async def keys(self, instance: str, key: str | None = None) -> dict[str, str]:
        """Read the key-value map of an instance."""
        (found,) = await self.provider.read_keys([InstanceId(instance)], key)
        return {str(each.key): str(each.value) for each in found}

    async def answers(self, instance: str, *ids: str) -> Sequence[Answer | None]:
        """Read answers of an instance."""
        return list(await self.provider.read_answers(InstanceId(instance), ids))

    async def kinds(self, instance: str, **options: Any) -> Sequence[RecordKind]:
        """Read which kinds of records an instance has."""
        return [record.kind for record in await self.history(instance, **options)]


def boom(message: str = "boom") -> Failure:
    """Make a failure of user code."""
    return Failure(FailureCategory.APPLICATION, "ValueError", message)


def by_id(turns: Sequence[LeasedTurn]) -> dict[str, LeasedTurn]:
    """Index turns by their instance."""
    return {turn.instance: turn for turn in turns}


def kinds_of(turn: LeasedTurn) -> Sequence[RecordKind]:
    """Kinds of the records that came with a turn."""
    return [record.kind for record in turn.records]


def refs_of(turn: LeasedTurn) -> Sequence[str | None]:
    """Refs of the records that came with a turn."""
    return [record.ref for record in turn.records]
