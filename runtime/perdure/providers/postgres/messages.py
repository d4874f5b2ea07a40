"""The verbs that send and steer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.model.codec import encode_failure
from perdure.model.failure import Failure, FailureCategory
from perdure.providers.postgres.base import Base
from perdure.providers.postgres.listen import News
from perdure.providers.postgres.rows import Sorted, message_row
from perdure.providers.work import ControlOutcome, ControlVerb, EnqueueOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perdure.model.ids import ExecutorId, JsonText
    from perdure.providers.reading import ExecutorInfo
    from perdure.providers.work import Control, Message

__all__ = ["ENQUEUED", "MessageVerbs"]

ENQUEUED = {
    1: EnqueueOutcome.ACCEPTED,
    2: EnqueueOutcome.KEPT,
    3: EnqueueOutcome.EXISTS,
    4: EnqueueOutcome.FINISHED,
    5: EnqueueOutcome.FULL,
}

_CONTROLLED = {
    0: ControlOutcome.NOT_FOUND,
    1: ControlOutcome.DONE,
    2: ControlOutcome.UNCHANGED,
    3: ControlOutcome.FINISHED,
}


_PAUSE_SECONDS = 0.005
"""Many clients may start at once, each from a process of its own and one by one: those who do so
without a pause tell after the commit, and the commits of all go to disk together."""


class MessageVerbs(Base):
    """Enqueue, control; announce and withdraw."""

    async def enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        """Add messages to histories; a start creates its instance."""
        if not messages:
            return []
        batch = Sorted(messages, key=lambda message: message.instance)
        watched = any(m.start is not None and m.start.watched for m in messages)
        lines = ("t", "w") if watched else ("t",)
        rows, told = await self._call_telling(
            "enqueue",
            (self._calls.enqueue, self._calls.enqueue_telling),
            News(lines, len(messages), pause=_PAUSE_SECONDS),
            [message_row(message) for message in batch.items],
            self._keep_early,
            self._inbox_limit,
            self._now(),
        )
        outcomes = batch.restore([ENQUEUED[code] for code in rows[0][0]])
        if EnqueueOutcome.ACCEPTED in outcomes and not told:
            self._board.post(lines, items=len(messages))
        return outcomes

    async def control(self, commands: Sequence[Control]) -> Sequence[ControlOutcome]:
        """Suspend, resume or terminate, without running user code."""
        if not commands:
            return []
        rows = await self._call(
            "control",
            self._calls.control,
            [(each.instance, each.verb.value, each.reason, _terminated(each)) for each in commands],
            self._now(),
        )
        answer = rows[0]
        lines = [f"f{instance}" for instance in answer["finished"]]
        lines.extend(f"c{instance}" for instance in answer["cancelled"])
        if ControlOutcome.DONE in (outcomes := [_CONTROLLED[c] for c in answer["outcomes"]]):
            lines.append("t")
        if answer["is_changed"]:
            lines.append("w")
        self._board.post(lines)
        return outcomes

    async def announce(self, info: ExecutorInfo) -> None:
        """Tell of this process; forgotten a minute after the last time."""
        await self._call(
            "announce",
            self._calls.announce,
            info.executor,
            info.role.value,
            info.name,
            info.build,
            list(info.tags),
            [code.name for code in info.code],
            [code.version for code in info.code],
            list(info.activities),
            info.slots,
            info.busy,
            info.draining,
            self._now(),
        )

    async def withdraw(self, executor: ExecutorId) -> None:
        """Forget this process at once."""
        await self._call("withdraw", self._calls.withdraw, executor)


def _terminated(command: Control) -> JsonText | None:
    if command.verb is not ControlVerb.TERMINATE:
        return None
    return encode_failure(
        Failure(
            category=FailureCategory.TERMINATED,
            type="Terminated",
            message=command.reason or "terminated",
            retryable=False,
        )
    )
