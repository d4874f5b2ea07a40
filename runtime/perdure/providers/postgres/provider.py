"""`PostgresProvider`: the protocol, verb by verb.

A verb turns values into rows (`rows`), calls its function (`calls`), turns rows into values, and
posts hints (`listen`). The promises are kept in SQL; see the header of each function.
"""

from __future__ import annotations

from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Self

from perdure.model.codec import encode_failure
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId
from perdure.providers.postgres.calls import Calls
from perdure.providers.postgres.connections import Connections, Target
from perdure.providers.postgres.listen import HintBoard
from perdure.providers.postgres.rows import (
    Sorted,
    instance_of,
    lease_row,
    leased_activity,
    message_row,
    record_of,
    result_row,
    turn_rows,
    until,
)
from perdure.providers.work import (
    ActivityResult,
    CommitOutcome,
    EnqueueOutcome,
    FetchedActivities,
    FetchedTurns,
    FinishOutcome,
    LeasedTurn,
    Renewed,
    RenewOutcome,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime

    from perdure.model.records import Record
    from perdure.providers.postgres.rows import TurnRows
    from perdure.providers.work import (
        AbandonActivity,
        AbandonTurn,
        ActivityLease,
        FetchActivities,
        FetchTurns,
        Hint,
        InstanceInfo,
        Message,
        TurnCommit,
        TurnLease,
    )

__all__ = ["PostgresProvider"]

_ENQUEUED = {
    1: EnqueueOutcome.ACCEPTED,
    2: EnqueueOutcome.KEPT,
    3: EnqueueOutcome.EXISTS,
    4: EnqueueOutcome.FINISHED,
    5: EnqueueOutcome.FULL,
}

_ID_TAKEN = encode_failure(
    Failure(
        category=FailureCategory.APPLICATION,
        type="InstanceExistsError",
        message="the id of this sub-orchestration belongs to another instance; choose another id",
        retryable=False,
    )
)


class PostgresProvider:
    """Storage in one schema of a Postgres database.

    Args:
        url: `postgresql://…`, of a login that may call the functions.
        schema: Where `migrate` put the tables.
        connections: How many calls may be on their way at once; two more connections carry hints.
        application_name: What Postgres shows beside the connections.
        call_seconds: How long one call may take, connecting included.
        listen: False behind a pooler that lends connections by the transaction: hints from other
            processes are then not heard, and polling alone finds work.
        prepare: False behind such a pooler that cannot keep prepared statements either.
        inbox_limit: Unread messages that one instance takes before it refuses more.
        keep_early: How long messages wait for an instance that nobody has started.
        clock: For tests alone: the time to use instead of the database's.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str = "perdure",
        connections: int = 4,
        application_name: str = "perdure",
        call_seconds: float = 30.0,
        listen: bool = True,
        prepare: bool = True,
        inbox_limit: int = 10_000,
        keep_early: timedelta = timedelta(days=7),
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        target = Target(
            url, application_name=application_name, call_seconds=call_seconds, prepare=prepare
        )
        self._calls = Calls(schema)
        self._connections = Connections(target, connections)
        self._board = HintBoard(target, self._calls, schema, listen=listen)
        self._inbox_limit = inbox_limit
        self._keep_early = keep_early
        self._clock = clock

    async def __aenter__(self) -> Self:
        """Connect; raises `ProviderError` when that fails or the schema is missing."""
        try:
            await self.ping()
        except BaseException:
            await self._connections.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect; hints end."""
        await self._board.close()
        await self._connections.close()

    def _now(self) -> datetime | None:
        return None if self._clock is None else self._clock()

    async def _call(self, verb: str, query: str, *args: object) -> Sequence[Any]:
        self._board.check()
        return await self._connections.call(verb, query, *args)

    async def ping(self) -> None:
        """Raise `ProviderError` if storage cannot be reached or lacks its schema."""
        await self._call("ping", self._calls.ping)

    def hints(self) -> AsyncIterator[Hint]:
        """Yield hints until closed."""
        return self._board.hints()

    # ------------------------------------------------------------------------ messages

    async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        """Add messages to histories; a start creates its instance."""
        if not messages:
            return []
        batch = Sorted(messages, key=lambda message: message.instance)
        rows = await self._call(
            "enqueue",
            self._calls.enqueue,
            [message_row(message) for message in batch.items],
            self._keep_early,
            self._inbox_limit,
            self._now(),
        )
        outcomes = batch.restore([_ENQUEUED[code] for code in rows[0][0]])
        if EnqueueOutcome.ACCEPTED in outcomes:
            watched = any(m.start is not None and m.start.watched for m in messages)
            self._board.post(("t", "w") if watched else ("t",))
        return outcomes

    # --------------------------------------------------------------------------- turns

    async def fetch_turns(self, request: FetchTurns) -> FetchedTurns:
        """Lease due instances; fires timers that are due."""
        code = {(each.name, "") for each in request.code}
        code.update((each.name, each.version) for each in request.code)
        rows = await self._call(
            "fetch_turns",
            self._calls.fetch_turns,
            request.executor,
            request.token,
            request.limit,
            request.lease,
            [name for name, _ in code],
            [version for _, version in code],
            self._now(),
        )
        last = rows[-1]
        now: datetime = last["at"]
        turns: dict[str, tuple[Any, list[Record]]] = {}
        for row in rows[:-1]:
            found = turns.get(row["instance"])
            if found is None:
                found = turns[row["instance"]] = (row, [])
            if row["seq"] is not None:
                found[1].append(record_of(row))
        if last["upto"]:
            self._board.post(("t",))  # timers fired, perhaps for what others must run
        return FetchedTurns(
            turns=tuple(
                LeasedTurn(
                    instance=InstanceId(row["instance"]),
                    execution=row["execution"],
                    name=row["name"],
                    version=row["version"],
                    token=request.token,
                    attempt=row["attempt"],
                    upto=row["upto"],
                    held=row["held"],
                    records=tuple(records),
                    now=now,
                )
                for row, records in turns.values()
            ),
            next_due=until(now, last["next_due"]),
        )

    async def commit_turns(self, commits: Sequence[TurnCommit]) -> Sequence[CommitOutcome]:
        """Apply turns. Idempotent by (instance, token)."""
        if not commits:
            return []
        batch = Sorted(commits, key=lambda commit: commit.instance)
        rows = turn_rows(batch.items)
        answer = (
            await self._call(
                "commit_turns",
                self._calls.commit_turns,
                rows.locks,
                rows.turns,
                rows.activities or None,
                rows.cancels or None,
                rows.timers or None,
                rows.timer_cancels or None,
                rows.messages or None,
                _ID_TAKEN,
                self._keep_early,
                self._now(),
            )
        )[0]
        self._post_commit(batch.items, rows, answer)
        return batch.restore(
            [CommitOutcome.COMMITTED if code else CommitOutcome.LOST for code in answer["outcomes"]]
        )

    def _post_commit(self, commits: Sequence[TurnCommit], rows: TurnRows, answer: Any) -> None:
        lines: list[str] = []
        tags: set[str] = set()
        for commit, code, ended, tagged in zip(
            commits, answer["outcomes"], rows.ended, rows.tags, strict=True
        ):
            if code:
                tags |= tagged
                if ended:
                    lines.append(f"f{commit.instance}")
        lines.extend(f"a{tag}" for tag in tags)
        lines.extend(f"c{instance}" for instance in answer["cancelled"] or ())
        if answer["is_due"]:
            lines.append("t")
        if answer["is_changed"]:
            lines.append("w")
        self._board.post(lines)

    async def renew_turns(
        self, leases: Sequence[TurnLease], lease: timedelta
    ) -> Sequence[Renewed]:
        """Extend leases to `lease` from now."""
        if not leases:
            return []
        batch = Sorted(leases, key=lambda each: each.instance)
        rows = await self._call(
            "renew_turns",
            self._calls.renew_turns,
            [(each.instance, None, None, each.token) for each in batch.items],
            lease,
            self._now(),
        )
        return batch.restore(
            [Renewed(RenewOutcome.HELD if held else RenewOutcome.LOST) for held in rows[0][0]]
        )

    async def abandon_turns(self, turns: Sequence[AbandonTurn]) -> None:
        """Give turns back undone; leases that are over are ignored."""
        if not turns:
            return
        batch = sorted(turns, key=lambda turn: turn.instance)
        answer = (
            await self._call(
                "abandon_turns",
                self._calls.abandon_turns,
                [(turn.instance, None, None, turn.token) for turn in batch],
                [turn.delay for turn in batch],
                [turn.count_attempt for turn in batch],
                [None if turn.block is None else turn.block.reason for turn in batch],
                [None if turn.block is None else turn.block.message for turn in batch],
                self._now(),
            )
        )[0]
        lines = ["t"] if answer["is_due"] else []
        if answer["is_changed"]:
            lines.append("w")
        self._board.post(lines)

    # ---------------------------------------------------------------------- activities

    async def fetch_activities(self, request: FetchActivities) -> FetchedActivities:
        """Lease due activities and count an attempt on each."""
        rows = await self._call(
            "fetch_activities",
            self._calls.fetch_activities,
            request.token,
            list(dict.fromkeys(request.tags)),
            request.limit,
            request.lease,
            self._now(),
        )
        last = rows[-1]
        oldest_first = sorted(rows[:-1], key=itemgetter("queued"))
        return FetchedActivities(
            activities=tuple(leased_activity(row, request.token) for row in oldest_first),
            next_due=until(last["queued"], last["next_due"]),
        )

    async def finish_activities(
        self, results: Sequence[ActivityResult]
    ) -> Sequence[FinishOutcome]:
        """Record results and wake their instances. Idempotent by lease."""
        if not results:
            return []
        batch = Sorted(results, key=_activity_order)
        answer = (
            await self._call(
                "finish_activities",
                self._calls.finish_activities,
                [result_row(result) for result in batch.items],
                self._now(),
            )
        )[0]
        if answer["is_due"]:
            self._board.post(("t",))
        return batch.restore(
            [FinishOutcome.RECORDED if code else FinishOutcome.LOST for code in answer["outcomes"]]
        )

    async def renew_activities(
        self, leases: Sequence[ActivityLease], lease: timedelta
    ) -> Sequence[Renewed]:
        """Extend leases to `lease` from now; tells which are cancelled or lost."""
        if not leases:
            return []
        batch = Sorted(leases, key=_lease_order)
        rows = await self._call(
            "renew_activities",
            self._calls.renew_activities,
            [lease_row(each) for each in batch.items],
            lease,
            self._now(),
        )
        return batch.restore([_renewed(row["is_held"], row["reason"]) for row in rows])

    async def abandon_activities(self, activities: Sequence[AbandonActivity]) -> None:
        """Hand activities back; leases that are over are ignored."""
        if not activities:
            return
        batch = sorted(activities, key=lambda each: _lease_order(each.lease))
        rows = await self._call(
            "abandon_activities",
            self._calls.abandon_activities,
            [lease_row(each.lease) for each in batch],
            [each.delay for each in batch],
            [each.count_attempt for each in batch],
            self._now(),
        )
        self._board.post([f"a{tag}" for tag in rows[0][0]])

    # ------------------------------------------------------------------------- reading

    async def read_instances(
        self, instances: Sequence[InstanceId]
    ) -> Sequence[InstanceInfo | None]:
        """Read instances; None where there is none."""
        if not instances:
            return []
        rows = await self._call("read_instances", self._calls.read_instances, list(instances))
        found = {row["id"]: instance_of(row) for row in rows}
        return [found.get(instance) for instance in instances]

    async def read_history(
        self, instance: InstanceId, *, execution: int | None = None, after: int = 0, limit: int = 0
    ) -> Sequence[Record]:
        """Read records in order: of one execution or all; `limit` 0 means all."""
        rows = await self._call(
            "read_history", self._calls.read_history, instance, execution, after, limit
        )
        return [record_of(row) for row in rows]


def _lease_order(lease: ActivityLease) -> tuple[str, int, str]:
    return (lease.instance, lease.execution, lease.operation)


def _activity_order(result: ActivityResult) -> tuple[str, int, str]:
    return _lease_order(result.lease)


def _renewed(is_held: bool, reason: str | None) -> Renewed:
    if not is_held:
        return Renewed(RenewOutcome.LOST)
    if reason is not None:
        return Renewed(RenewOutcome.CANCELLED, reason)
    return Renewed(RenewOutcome.HELD)
