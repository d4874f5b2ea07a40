"""What all parts of the client share: storage, patience, and calls that travel together."""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol, Self

from perdure.client.waiting import POLL, Waiting
from perdure.model.ids import InstanceId, LeaseToken
from perdure.providers.administration import (
    AdminProvider,
    KeyProvider,
    QuestionProvider,
    TransactionProvider,
)
from perdure.providers.gathering import Gatherer
from perdure.providers.patience import Patience
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo
from perdure.providers.work import (
    ActivityLease,
    ActivityResult,
    Control,
    ControlOutcome,
    EnqueueOutcome,
    FinishOutcome,
    Message,
    Renewed,
)

__all__ = ["PATIENCE", "ClientBase", "ClientStorage"]

PATIENCE = timedelta(seconds=30)


class ClientStorage(
    ClientProvider, AdminProvider, KeyProvider, QuestionProvider, TransactionProvider, Protocol
):
    """All of storage that a client uses."""

    async def finish_activities(self, results: Sequence[ActivityResult]) -> Sequence[FinishOutcome]:
        """Finish activities whose lease the caller has: their completion tokens."""
        ...

    async def renew_activities(
        self, leases: Sequence[ActivityLease], lease: timedelta
    ) -> Sequence[Renewed]:
        """Extend such leases."""
        ...


class ClientBase:
    """Storage, and what gathers the calls made at the same time into few calls of storage."""

    def __init__(
        self,
        provider: ClientStorage,
        *,
        tenant: str = "",
        patience: timedelta = PATIENCE,
        poll: timedelta = POLL,
        dice: random.Random | None = None,
        draw: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._provider = provider
        self._tenant = tenant
        self._patience = Patience(total=patience, dice=dice or random.Random())  # noqa: S311  for waits
        self._draw = draw
        self._messages = Gatherer(self._enqueue)
        self._commands = Gatherer(self._control)
        self._reads = Gatherer(self._read)
        self._waiting = Waiting(self._read_once, provider.hints, poll=poll)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of background tasks; calls under way are cancelled. The provider stays open."""
        await self._waiting.close()
        for gatherer in (self._messages, self._commands, self._reads):
            await gatherer.close()

    async def _persist[T](self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._patience.persist(call)

    async def _enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        return await self._persist(lambda: self._provider.enqueue(messages))

    async def _control(self, commands: Sequence[Control]) -> Sequence[ControlOutcome]:
        return await self._persist(lambda: self._provider.control(commands))

    async def _read(self, instances: Sequence[InstanceId]) -> Sequence[InstanceInfo | None]:
        return await self._persist(lambda: self._provider.read_instances(instances))

    async def _read_once(self, instances: Sequence[InstanceId]) -> Sequence[InstanceInfo | None]:
        return await self._provider.read_instances(instances)

    async def _send(self, message: Message, connection: object | None) -> EnqueueOutcome:
        """Send one message: with others, or within the transaction of the caller's connection."""
        if connection is None:
            return await self._messages.submit(message)
        return (await self._provider.enqueue_within(connection, [message]))[0]

    def _token(self) -> LeaseToken:
        """Make a token for one message: sent again with it, the message is not doubled."""
        return LeaseToken(self._draw(63))
