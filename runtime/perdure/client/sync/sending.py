"""Written by tools/sync_client.py from `perdure.client.sending`; do not edit."""

from __future__ import annotations

from datetime import timedelta

from perdure.client.sync.base import SyncBase

__all__ = ["SyncSending"]


class SyncSending(SyncBase):
    """`perdure.client.sending`, for code without an event loop."""

    def raise_event(
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
        self._runner.run(self._client.raise_event(instance_id, name, data, connection=connection))

    def enqueue_event(
        self, instance_id: str, queue: str, data: object = None, *, connection: object | None = None
    ) -> None:
        """Put an item into one of an instance's queues; else like `raise_event`."""
        self._runner.run(
            self._client.enqueue_event(instance_id, queue, data, connection=connection)
        )

    def cancel(self, instance_id: str, reason: str = "") -> None:
        """Ask an instance to cancel; nothing happens to one that has ended."""
        self._runner.run(self._client.cancel(instance_id, reason))

    def terminate(self, instance_id: str, reason: str = "") -> None:
        """End an instance and its children at once; nothing happens to one that has ended.

        Raises:
            InstanceNotFoundError: There is no such instance.
        """
        self._runner.run(self._client.terminate(instance_id, reason))

    def suspend(self, instance_id: str, reason: str = "") -> None:
        """Let an instance take no turns until resumed.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceFinishedError: It has ended.
        """
        self._runner.run(self._client.suspend(instance_id, reason))

    def resume(self, instance_id: str) -> None:
        """End a suspension or a block.

        Raises:
            InstanceNotFoundError: There is no such instance.
            InstanceFinishedError: It has ended.
        """
        self._runner.run(self._client.resume(instance_id))

    def complete_activity(self, completion_token: str, result: object = None) -> None:
        """Give the result of an activity that its body deferred (`ActivityContext.defer`).

        The first answer stays. Giving it again, or another, changes nothing and is no error: the
        reply to the first may have been lost.

        Raises:
            CallerError: It is no completion token, or nobody waits for it any more.
            PayloadError: `result` has no JSON form or is too large.
        """
        self._runner.run(self._client.complete_activity(completion_token, result))

    def fail_activity(
        self,
        completion_token: str,
        message: str,
        *,
        type: str = "ApplicationError",
        details: object = None,
    ) -> None:
        """Let a deferred activity fail for good; else like `complete_activity`."""
        self._runner.run(
            self._client.fail_activity(completion_token, message, type=type, details=details)
        )

    def extend_activity(self, completion_token: str, within: timedelta) -> None:
        """Give a deferred activity until `within` from now.

        Raises:
            CallerError: It is no completion token, or nobody waits for it any more; the message
                has the reason of a cancellation.
        """
        self._runner.run(self._client.extend_activity(completion_token, within))
