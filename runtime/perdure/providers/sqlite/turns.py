"""Turns: fetch, renew, abandon; and what becomes due by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perdure.model.codec import encode_failure
from perdure.model.failure import Failure, FailureCategory
from perdure.model.records import Record, RecordKind
from perdure.providers.sqlite.gates import look
from perdure.providers.sqlite.messages import answer_to
from perdure.providers.sqlite.rows import KINDS, later, moment, time_span, until
from perdure.providers.sqlite.statements import statements
from perdure.providers.work import FetchedTurns, LeasedTurn, Renewed, RenewOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import AbandonTurn, FetchTurns, TurnLease

__all__ = ["abandon_turns", "fetch_turns", "renew_turns"]

_SQL = statements("turns")
_ACTIVITY_SQL = statements("activities")
_FIRED_MAX = 1000


def fetch_turns(tx: Transaction, request: FetchTurns) -> FetchedTurns:
    """Lease due instances, oldest first; fires what is due by itself."""
    now = tx.now
    alarm = _next_alarm(tx)
    if alarm is not None and alarm <= now:
        look(tx)
        _fire_timers(tx)
        _expire_activities(tx)
        alarm = _next_alarm(tx)
    code = dict.fromkeys(
        (each.name, version) for each in request.code for version in ("", each.version)
    )
    due: list[tuple[Any, ...]] = []
    if request.limit > 0:
        query, rest = _SQL["due_live"], (now, now, request.limit)
        for name, version in code:
            rows = tx.execute(query, (request.executor, name, version, *rest)).fetchall()
            due.extend((*row, name, version) for row in rows)
        due.sort()
    chosen = due[: request.limit]
    share = request.history_bytes // max(sum(not row[6] for row in chosen), 1)
    turns = tuple(_lease(tx, request, row, share) for row in chosen)
    next_due = now if len(chosen) == request.limit else _next_due(tx, code, alarm)
    return FetchedTurns(turns, until(now, next_due))


def _lease(tx: Transaction, request: FetchTurns, row: tuple[Any, ...], share: int) -> LeasedTurn:
    _, place, instance, execution, attempt, upto, held, position, first_seq, name, version = row
    now = tx.now
    tx.execute(
        _SQL["lease_live"],
        (
            *(request.token, later(now, request.lease), upto, held, request.executor),
            place,
        ),
    )
    after = position if held else first_seq - 1
    records: list[Record] = []
    size = 0
    for seq, of, kind, ref, body, at in tx.execute(_SQL["records"], (instance, after, upto)):
        if held and kind >= RecordKind.TURN:
            continue
        size += len(body or "")
        if size > share and not held:
            break  # the rest of a long history is for the caller to read
        records.append(Record(seq, of, KINDS[kind], ref, body, moment(at)))
    return LeasedTurn(
        *(instance, execution, name, version or None, request.token, attempt + 1, upto),
        *(bool(held), tuple(records), moment(now)),
    )


def _next_alarm(tx: Transaction) -> int | None:
    """Say when something becomes due by itself: a timer, an activity that nobody takes, a rate."""
    alarms = tx.execute(_SQL["next_alarms"]).fetchone()
    return min((at for at in alarms if at is not None), default=None)


def _next_due(tx: Transaction, code: Iterable[tuple[str, str]], alarm: int | None) -> int | None:
    now = tx.now
    found: list[int | None] = [alarm]
    ahead, leased = _SQL["next_due"], _SQL["next_lease_end"]
    for name, version in code:
        row = tx.execute(ahead, (name, version, now)).fetchone()
        if row is not None:
            found.append(row[0])
        found.append(tx.execute(leased, (name, version, now, now)).fetchone()[0])
    return min((due for due in found if due is not None), default=None)


def _fire_timers(tx: Transaction) -> None:
    for timer in tx.execute(_SQL["due_timers"], (tx.now, _FIRED_MAX)).fetchall():
        tx.execute(_SQL["delete_timer"], timer)
        # One whose execution is over goes without a trace.
        answer_to(tx, timer, RecordKind.TIMER_FIRED, None)


def _expire_activities(tx: Transaction) -> None:
    """Fail activities that nobody started within the time that they were given for it."""
    for row in tx.execute(_SQL["expired_activities"], (tx.now, _FIRED_MAX)).fetchall():
        key, instance, execution, op, name, tag, queue_timeout, limit_key, awaits = row
        tx.execute(_ACTIVITY_SQL["delete"], (key,))
        why = f"no executor of the tag {tag} took it" if tag else "no executor took it"
        if limit_key is not None:
            tx.gates[limit_key] = None
            why = f"its limit {limit_key} did not admit it" if awaits else why
        failure = Failure(
            category=FailureCategory.TIMEOUT,
            type="QueueTimeout",
            message=f"{name} was not started within {time_span(queue_timeout)}: {why}",
            retryable=False,
        )
        body = encode_failure(failure)
        answer_to(tx, (instance, execution, op), RecordKind.ACTIVITY_FAILED, body)


def renew_turns(
    tx: Transaction, leases: Sequence[TurnLease], lease: timedelta
) -> Sequence[Renewed]:
    """Extend leases to `lease` from now."""
    held, lost = Renewed(RenewOutcome.HELD), Renewed(RenewOutcome.LOST)
    end, now = later(tx.now, lease), tx.now
    return [
        held if tx.execute(_SQL["renew"], (end, each.instance, each.token, now)).rowcount else lost
        for each in leases
    ]


def abandon_turns(tx: Transaction, turns: Sequence[AbandonTurn]) -> None:
    """Give turns back undone; leases that are over are ignored."""
    for turn in turns:
        row = tx.execute(_SQL["leased"], (turn.instance, turn.token, tx.now)).fetchone()
        if row is None:
            continue
        place, is_parked, is_watched, attempt = row
        block = turn.block
        due = None if is_parked or block is not None else later(tx.now, turn.delay)
        tx.execute(
            _SQL["abandon"],
            (
                attempt if turn.count_attempt else max(attempt - 1, 0),
                due,
                None if block is None else block.reason,
                None if block is None else block.message,
                place,
            ),
        )
        if due is not None and due <= tx.now:
            tx.tell("t")
        if block is not None and is_watched:
            tx.mark_changed(turn.instance)
