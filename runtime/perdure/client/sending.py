"""Sending to instances and steering them: events, queues, cancels, control, late results."""

from __future__ import annotations

from datetime import timedelta

from perdure.client.base import ClientBase
from perdure.client.instance_ids import (
    checked_event_name,
    checked_reason,
    stored_instance_id,
)
from perdure.errors import (
    CallerError,
    InboxFullError,
    InstanceFinishedError,
    InstanceNotFoundError,
)
from perdure.model.codec import encode
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import JsonText
from perdure.model.records import RecordKind
from perdure.providers.tokens import lease_of
from perdure.providers.work import (
    ActivityCompleted,
    ActivityEnd,
    ActivityFailed,
    ActivityResult,
    Control,
    ControlOutcome,
    ControlVerb,
    EnqueueOutcome,
    FinishOutcome,
    Message,
    RenewOutcome,
)

__all__ = ["Sending"]


class Sending(ClientBase):
    """The verbs that change an instance."""

    async def raise_event(
        self, instance_id: str, name: str, data: object = None, *, connection: object | None = None
    ) -> None:
        """Raise an event; for an instance that does not exist yet it is kept for a time.

        With `connection` (of the same database, in a transaction) it is raised if and only if
        that transaction commits.

        Raises:
            InstanceFinishedError: The instance has ended.
            InboxFullError: Too many messages wait for it.
            PayloadError: `data` has no JSON form.
            CallerError: No event can have that name, or no instance that id.
        """
        body = encode(data, what=f"the data of event {name!r}")
        message = self._message(instance_id, RecordKind.EVENT_RAISED, name, body)
        _check_taken(f"event {name!r}", instance_id, await self._send(message, connection))

    async def enqueue_event(
        self, instance_id: str, queue: str, data: object = None, *, connection: object | None = None
    ) -> None:
        """Put an item into one of an instance's queues; else like `raise_event`."""
        body = encode(data, what=f"the item for queue {queue!r}")
        message = self._message(instance_id, RecordKind.EVENT_QUEUED, queue, body)
        _check_taken(
            f"the item for queue {queue!r}", instance_id, await self._send(message, connection)
        )

    async def cancel(self, instance_id: str, reason: str = "") -> None:
        """Ask an instance to cancel; nothing happens to one that has ended."""
        await self._messages.submit(
            Message(
                stored_instance_id(instance_id),
                RecordKind.CANCEL_REQUESTED,
                body=encode(checked_reason("cancel", reason), what="the reason of a cancellation"),
                token=self._token(),
            )
        )

    # ------------------------------------------------------------------ without its code

    async def terminate(self, instance_id: str, reason: str = "") -> None:
        """End an instance and its children at once; nothing happens to one that has ended.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        await self._command(instance_id, ControlVerb.TERMINATE, reason)

    async def suspend(self, instance_id: str, reason: str = "") -> None:
        """Let an instance take no turns until resumed.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceFinishedError: It has ended.
        """
        await self._command(instance_id, ControlVerb.SUSPEND, reason)

    async def resume(self, instance_id: str) -> None:
        """End a suspension or a block.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceFinishedError: It has ended.
        """
        await self._command(instance_id, ControlVerb.RESUME, "")

    async def _command(self, instance_id: str, verb: ControlVerb, reason: str) -> None:
        checked_reason(verb.value, reason)
        encode(reason, what=f"the reason to {verb.value}")  # refuses what storage cannot hold
        outcome = await self._commands.submit(
            Control(stored_instance_id(instance_id), verb, reason)
        )
        if outcome is ControlOutcome.NOT_FOUND:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        if outcome is ControlOutcome.FINISHED and verb is not ControlVerb.TERMINATE:
            raise InstanceFinishedError(
                f"Instance {instance_id!r} has ended; there is nothing to {verb.value}"
            )

    # ------------------------------------------------------------------ activities from outside

    async def complete_activity(self, completion_token: str, result: object = None) -> None:
        """Give the result of an activity that its body deferred (`ActivityContext.defer`).

        The first answer stays. Giving it again, or another, changes nothing and is no error: the
        reply to the first may have been lost.

        Raises:
            CallerError: It is no completion token, or nobody waits for it any more.
            PayloadError: `result` has no JSON form or is too large.
        """
        text = encode(result, what="the result of an activity")
        await self._finish(completion_token, ActivityCompleted(text))

    async def fail_activity(
        self,
        completion_token: str,
        message: str,
        *,
        type: str = "ApplicationError",  # noqa: A002  the field's word for it, and keyword-only
        details: object = None,
    ) -> None:
        """Let a deferred activity fail for good; else like `complete_activity`."""
        text: JsonText | None = None if details is None else encode(details, what="details")
        failure = Failure(FailureCategory.APPLICATION, type, message, retryable=False, details=text)
        await self._finish(completion_token, ActivityFailed(failure))

    async def extend_activity(self, completion_token: str, within: timedelta) -> None:
        """Give a deferred activity until `within` from now.

        Raises:
            CallerError: It is no completion token, or nobody waits for it any more; the message
                has the reason of a cancellation.
        """
        lease = lease_of(completion_token)
        renewed = (await self._persist(lambda: self._provider.renew_activities([lease], within)))[0]
        match renewed.outcome:
            case RenewOutcome.HELD:
                return
            case RenewOutcome.CANCELLED:
                raise CallerError(
                    f"Nobody waits for {lease.operation!r} of instance {lease.instance!r} any "
                    f"more: it was cancelled ({renewed.reason or 'no reason given'})"
                )
            case RenewOutcome.LOST:
                raise _unwanted(lease.instance, lease.operation)

    def _message(self, instance_id: str, kind: RecordKind, name: str, body: JsonText) -> Message:
        return Message(
            stored_instance_id(instance_id),
            kind,
            ref=checked_event_name(
                name, "Queue name" if kind is RecordKind.EVENT_QUEUED else "Event name"
            ),
            body=body,
            token=self._token(),
        )

    async def _finish(self, completion_token: str, end: ActivityEnd) -> None:
        lease = lease_of(completion_token)
        result = ActivityResult(lease, end)
        outcomes = await self._persist(lambda: self._provider.finish_activities([result]))
        if outcomes[0] is FinishOutcome.LOST:
            raise _unwanted(lease.instance, lease.operation)


def _check_taken(what: str, instance_id: str, outcome: EnqueueOutcome) -> None:
    match outcome:
        case EnqueueOutcome.FINISHED:
            raise InstanceFinishedError(f"Instance {instance_id!r} has ended; {what} was not taken")
        case EnqueueOutcome.FULL:
            raise InboxFullError(
                f"Instance {instance_id!r} has too many unread messages; {what} was not taken: "
                "send it again when the instance has caught up"
            )
        case EnqueueOutcome.ACCEPTED | EnqueueOutcome.KEPT | EnqueueOutcome.EXISTS:
            return


def _unwanted(instance: str, operation: str) -> CallerError:
    return CallerError(
        f"Nobody waits for this answer to {operation!r} of instance {instance!r}: it was given "
        "too late (the attempt's time is over and another has begun), was given before, or the "
        "instance has ended"
    )
