"""Counting, pruning, bringing in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.model.codec import encode_failure
from perdure.model.records import Outcome
from perdure.providers.administering import (
    ExecutionInfo,
    ImportOutcome,
    InstanceSize,
    Pruned,
    Totals,
)
from perdure.providers.sqlite.rows import ENDED, PHASES, micros, moment
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.model.ids import InstanceId
    from perdure.providers.administering import Archive, Prune
    from perdure.providers.sqlite.transaction import Transaction

__all__ = ["bring_in", "prune", "read_executions", "read_sizes", "read_totals"]

_SQL = statements("administration")
_MESSAGE_SQL = statements("messages")
_OUTCOMES = {code: outcome for outcome, code in ENDED.items()}
_CODES = {status: code for code, status in PHASES.items()}

# ------------------------------------------------------------------------------- counting


def read_executions(tx: Transaction, instance: InstanceId) -> Sequence[ExecutionInfo]:
    """Read the executions that are kept, oldest first."""
    row = tx.execute(_SQL["last_execution"], (instance,)).fetchone()
    if row is None:
        return []
    current, status, version, finished = row
    found: list[ExecutionInfo] = []
    last = 0
    for each in tx.execute(_SQL["old_executions"], (instance,)).fetchall():
        execution, of, started, ended, records, last = each
        continued = Outcome.CONTINUED_AS_NEW
        found.append(
            ExecutionInfo(execution, continued, of, moment(started), moment(ended), records)
        )
    started, records = tx.execute(_SQL["records_after"], (instance, last, current)).fetchone()
    if started is not None:
        found.append(
            ExecutionInfo(
                current,
                _OUTCOMES.get(status),
                version,
                moment(started),
                None if finished is None else moment(finished),
                records,
            )
        )
    return found


def read_sizes(tx: Transaction, instances: Sequence[InstanceId]) -> Sequence[InstanceSize | None]:
    """Measure instances; reads all their records."""
    return [_read_size(tx, instance) for instance in instances]


def _read_size(tx: Transaction, instance: InstanceId) -> InstanceSize | None:
    if tx.execute(_SQL["exists"], (instance,)).fetchone() is None:
        return None
    records, size = tx.execute(_SQL["records_size"], (instance,)).fetchone()
    keys, key_bytes = tx.execute(_SQL["keys_size"], (instance,)).fetchone()
    unread = tx.execute(_SQL["unread"], (instance,)).fetchone()
    return InstanceSize(records, size, 0 if unread is None else unread[0], keys, key_bytes)


def read_totals(tx: Transaction) -> Totals:
    """Count everything."""

    def count(name: str, *values: object) -> int:
        return int(tx.execute(_SQL[name], values).fetchone()[0])

    counted = [
        *tx.execute(_SQL["count_unfinished"]).fetchall(),
        *tx.execute(_SQL["count_ended"]).fetchall(),
    ]
    waiting, leased = tx.execute(_SQL["count_activities"], (tx.now,)).fetchone()
    return Totals(
        instances={PHASES[phase]: number for phase, number in counted},
        records=count("count_records"),
        due_turns=count("count_due", tx.now, tx.now),
        waiting_activities=waiting,
        leased_activities=leased,
        timers=count("count_timers"),
        early_messages=count("count_early"),
        tallies=dict(tx.execute(_SQL["tallies"]).fetchall()),
    )


# -------------------------------------------------------------------- pruning, bringing in


def prune(tx: Transaction, request: Prune, limit: int) -> Pruned:
    """Delete records of old executions, so many at once; None where there is no instance."""
    instance = request.instance
    row = tx.execute(_SQL["last_execution"], (instance,)).fetchone()
    if row is None:
        return Pruned(None, None)
    newest = row[0] - max(request.keep_last or 1, 1)
    before = None if request.finished_before is None else micros(request.finished_before)
    found = tx.execute(_SQL["prunable"], (instance, newest, before, limit)).fetchall()
    records = 0
    for execution, first, last in found:
        records += tx.execute(_SQL["prune_events"], (instance, first, last)).rowcount
        tx.execute(_SQL["prune_execution"], (instance, execution))
    return Pruned(len(found), records)


def bring_in(tx: Transaction, archive: Archive) -> ImportOutcome:
    """Add an instance that has ended elsewhere."""
    info = archive.info
    if not info.status.is_terminal or info.finished_at is None:
        return ImportOutcome.UNFINISHED
    instance = info.instance
    added = tx.execute(
        _SQL["bring_in"],
        (
            *(instance, info.tenant, info.name, info.version, info.parent, _CODES[info.status]),
            *(micros(info.created_at), micros(info.finished_at), info.execution),
            *(info.history_length, int(info.cancel_requested), info.custom_status_version),
            *(info.attributes, info.custom_status, info.output),
            None if info.failure is None else encode_failure(info.failure),
            info.limit,
        ),
    )
    if not added.rowcount:
        return ImportOutcome.EXISTS
    dropped = tx.execute(_SQL["drop_early"], (instance,)).rowcount
    if dropped:
        tx.execute(_MESSAGE_SQL["tally"], ("dropped_messages", dropped))
    for each in archive.records:
        tx.execute(
            _SQL["bring_in_event"],
            (
                *(instance, each.seq, each.execution, int(each.kind), each.ref, each.body),
                micros(each.at),
            ),
        )
    tx.execute(_SQL["bring_in_executions"], (instance, info.execution))
    for key in archive.keys:
        row = (instance, key.key, key.value, micros(key.updated_at))
        tx.execute(_SQL["bring_in_key"], row)
    return ImportOutcome.IMPORTED
