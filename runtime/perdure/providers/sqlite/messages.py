"""Sending: what `enqueue` does, and what commits, timers and results do with it.

A message goes straight into the history of its instance, with the next number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.errors import ProviderError
from perdure.model.codec import decode_object
from perdure.model.ids import JsonText
from perdure.model.records import RecordKind
from perdure.providers.administering import Swept
from perdure.providers.sqlite.rows import later
from perdure.providers.sqlite.statements import statements
from perdure.providers.work import EnqueueOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.providers.sqlite.transaction import Transaction
    from perdure.providers.work import Message, NewInstance

__all__ = ["answer_to", "enqueue", "send", "sweep"]

_SQL = statements("messages")
_FROM_OUTSIDE = frozenset(
    {RecordKind.EVENT_RAISED, RecordKind.EVENT_QUEUED, RecordKind.UPDATE_REQUESTED}
)
"""What can be refused because the inbox is full, as can all cancels but the first."""
_ALLOWED = _FROM_OUTSIDE | {RecordKind.STARTED, RecordKind.CANCEL_REQUESTED}
_ONLY_FOR_THE_LIVING = frozenset({RecordKind.CHILD_COMPLETED, RecordKind.CHILD_FAILED})
"""Answers: for an instance that was, not for one to come."""
_NO_LIMIT = 1 << 62
_MINUTE = 60_000_000


def enqueue(tx: Transaction, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
    """Add messages from outside."""
    limit = tx.terms.inbox_limit
    for message in messages:
        if message.kind not in _ALLOWED:
            raise ProviderError(
                "enqueue",
                f"a message of the kind {message.kind.name} comes with the turn or the activity "
                "that makes it, never from outside",
                retryable=False,
            )
    return [send(tx, message, inbox_limit=limit) for message in messages]


def send(
    tx: Transaction,
    message: Message,
    *,
    inbox_limit: int = _NO_LIMIT,
    sender: str | None = None,
) -> EnqueueOutcome:
    """Add one message; `sender` is the instance whose turn sent it."""
    if message.start is not None:
        return _start(tx, message, message.start, sender)
    row = tx.execute(_SQL["live"], (message.instance,)).fetchone()
    if row is None:
        return _keep(tx, message, inbox_limit)
    refused = _refusal(tx, message, row, inbox_limit)
    if refused is not None:
        return refused
    kind = message.kind
    is_cancel = kind is RecordKind.CANCEL_REQUESTED
    seq, execution = tx.execute(_SQL["wake"], (int(is_cancel), tx.now, message.instance)).fetchone()
    tx.execute(
        _SQL["add_event"],
        (
            *(message.instance, seq, execution, int(kind), message.ref, message.body),
            *(tx.now, message.token),
        ),
    )
    if kind is RecordKind.UPDATE_REQUESTED:
        tx.execute(_SQL["await_answer"], (message.instance, message.ref))
    tx.tell("t")
    return EnqueueOutcome.ACCEPTED


def _refusal(
    tx: Transaction, message: Message, row: tuple[int, int, int, int, int], inbox_limit: int
) -> EnqueueOutcome | None:
    """Say why nothing is to be added; None if the message is."""
    next_seq, position, first_seq, execution, is_cancelled = row
    if message.execution is not None and message.execution != execution:
        return EnqueueOutcome.FINISHED
    if _is_somebody_elses(tx, message):
        return EnqueueOutcome.FINISHED
    if _is_there(tx, message):
        return EnqueueOutcome.ACCEPTED
    # All but the TURN record, once this execution has one.
    unread = next_seq - 1 - position - (position >= first_seq)
    kind = message.kind
    if unread >= inbox_limit and (
        kind in _FROM_OUTSIDE or (kind is RecordKind.CANCEL_REQUESTED and is_cancelled)
    ):
        return EnqueueOutcome.FULL
    return None


def _is_somebody_elses(tx: Transaction, message: Message) -> bool:
    """Say whether a parent cancels what is not its child."""
    if message.parent is None:
        return False
    child = tx.execute(_SQL["is_child"], (message.instance, message.parent))
    return child.fetchone() is None


def _is_there(tx: Transaction, message: Message) -> bool:
    if message.kind is RecordKind.UPDATE_REQUESTED:
        found = tx.execute(_SQL["has_answer"], (message.instance, message.ref))
        return found.fetchone() is not None
    if message.token is None:
        return False
    return tx.execute(_SQL["is_there"], (message.instance, message.token)).fetchone() is not None


def answer_to(
    tx: Transaction,
    awaiting: tuple[str, int, str],
    kind: RecordKind,
    body: str | None,
    source: int | None = None,
) -> bool:
    """Add what an operation (instance, execution, operation) awaits; False if that is over."""
    instance, execution, operation = awaiting
    row = tx.execute(_SQL["wake_execution"], (tx.now, tx.now, instance, execution)).fetchone()
    if row is None:
        return False
    values = (instance, row[0], execution, int(kind), operation, body, tx.now, source)
    tx.execute(_SQL["add_event"], values)
    tx.tell("t")
    return True


# ------------------------------------------------------------------------------- starting


def _start(
    tx: Transaction, message: Message, new: NewInstance, sender: str | None
) -> EnqueueOutcome:
    instance, now = message.instance, tx.now
    tenant = new.tenant
    if not tenant and sender is not None:
        tenant = tx.execute(_SQL["tenant_of"], (sender,)).fetchone()[0]
    added = tx.execute(
        _SQL["add_instance"],
        (
            *(instance, tenant, new.name, new.version, new.parent, new.parent_close.value),
            *(int(new.watched), now, message.token, new.limit, new.attributes),
        ),
    )
    if not added.rowcount:
        (token,) = tx.execute(_SQL["token_of"], (instance,)).fetchone()
        same = token is not None and token == message.token
        return EnqueueOutcome.ACCEPTED if same else EnqueueOutcome.EXISTS
    early = tx.execute(_SQL["early"], (instance,)).fetchall()
    is_cancelled = any(row[0] == RecordKind.CANCEL_REQUESTED for row in early)
    limit = None if is_cancelled else new.limit
    awaits = limit is not None and (tx.execute(_SQL["has_limit"], (limit,)).fetchone() is not None)
    priority = 0
    if awaits:
        priority = decode_object(message.body).get("priority", 0)
    tx.execute(
        _SQL["add_live"],
        (
            *(instance, new.name, new.version or "", 2 + len(early), None if awaits else now),
            *(int(new.watched), int(is_cancelled), int(awaits), now, priority, limit),
        ),
    )
    start = (instance, 1, 1, int(RecordKind.STARTED), message.ref, message.body, now, message.token)
    tx.execute(_SQL["add_event"], start)
    if early:
        for seq, (kind, ref, body, token) in enumerate(early, 2):
            tx.execute(_SQL["add_event"], (instance, seq, 1, kind, ref, body, now, token))
            if kind == RecordKind.UPDATE_REQUESTED:
                tx.execute(_SQL["await_answer"], (instance, ref))
        tx.execute(_SQL["delete_early"], (instance,))
    if awaits:
        tx.gates[str(limit)] = None
    if new.watched:
        tx.mark_changed(instance)
    tx.tell("t")
    return EnqueueOutcome.ACCEPTED


def parent_operation(message: Message) -> str | None:
    """Find the operation of the parent that started this child."""
    link = decode_object(message.body or JsonText("{}")).get("parent")
    return None if link is None else link["operation"]


# --------------------------------------------------------------- before there is anybody


def _keep(tx: Transaction, message: Message, inbox_limit: int) -> EnqueueOutcome:
    """Keep a message for an instance that is not there yet."""
    instance, token = message.instance, message.token
    if _is_there(tx, message):
        return EnqueueOutcome.ACCEPTED
    if (
        message.kind in _ONLY_FOR_THE_LIVING
        or message.parent is not None
        or (tx.execute(_SQL["exists"], (instance,)).fetchone() is not None)
    ):
        return EnqueueOutcome.FINISHED
    same = (instance, token, int(message.kind), message.ref)
    if tx.execute(_SQL["is_early"], same).fetchone() is not None:
        return EnqueueOutcome.KEPT
    if tx.execute(_SQL["count_early"], (instance,)).fetchone()[0] >= inbox_limit:
        return EnqueueOutcome.FULL
    expires = later(tx.now, tx.terms.keep_early)
    kept = (instance, expires, int(message.kind), token, message.ref, message.body)
    tx.execute(_SQL["keep_early"], kept)
    return EnqueueOutcome.KEPT


def sweep(tx: Transaction, limit: int) -> Swept:
    """Delete what has had its time; messages are counted, for they were never read."""
    expired = tx.execute(_SQL["expired_early"], (tx.now, limit)).fetchall()
    for row in expired:
        tx.execute(_SQL["drop_early"], row)
    if expired:
        tx.execute(_SQL["tally"], ("expired_messages", len(expired)))
    questions = tx.execute(_SQL["forget_questions"], (tx.now, limit)).rowcount
    executors = tx.execute(_SQL["forget_executors"], (tx.now - 10 * _MINUTE, limit)).rowcount
    tx.execute(_SQL["forget_changes"], (tx.now - 60 * _MINUTE, limit))
    tx.execute(_SQL["forget_kinds"])
    return Swept(len(expired), questions, executors)
