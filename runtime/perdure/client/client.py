"""The client: start orchestrations, send to them, steer them, read them.

Calls made at the same time travel together. A thousand concurrent `start` calls are a few calls of
storage, because what gathers while one is in flight goes with the next; nothing waits to see
whether more will come. Every call is safe to repeat, so a database that restarts costs time only.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Literal, Self, cast, overload

from perdure.client.handle import InstanceHandle
from perdure.client.instance_ids import (
    checked_event_name,
    checked_instance_id,
    new_instance_id,
    stored_instance_id,
)
from perdure.client.waiting import Waiting
from perdure.errors import (
    CallerError,
    InboxFullError,
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
)
from perdure.model.codec import decode, encode, encode_started
from perdure.model.events import Event, events_of
from perdure.model.ids import InstanceId, JsonText, LeaseToken
from perdure.model.records import RecordKind, StartedBody
from perdure.providers.gathering import Gatherer
from perdure.providers.patience import Patience
from perdure.providers.postgres import PostgresProvider
from perdure.providers.protocol import ClientProvider
from perdure.providers.reading import InstanceInfo, InstancePage, InstanceStatus, ListInstances
from perdure.providers.work import (
    Control,
    ControlOutcome,
    ControlVerb,
    EnqueueOutcome,
    Message,
    NewInstance,
)
from perdure.replay.definitions import OrchestrationDef, checked_name
from perdure.replay.versions import check_version

__all__ = ["Client", "OnConflict"]

type OnConflict = Literal["reject", "attach"]
"""What a start does when its id is taken: raise, or return a handle on the instance there."""

_PATIENCE = timedelta(seconds=30)


class Client:
    """Talks to the orchestrations of one storage; one is enough for a process.

    Args:
        provider: Storage, already connected.
        tenant: Whom started instances belong to.
        patience: How long a call is repeated while storage is away.
    """

    def __init__(
        self, provider: ClientProvider, *, tenant: str = "", patience: timedelta = _PATIENCE
    ) -> None:
        self._provider = provider
        self._tenant = tenant
        self._patience = Patience(total=patience)
        self._messages = Gatherer(self._enqueue)
        self._commands = Gatherer(self._control)
        self._reads = Gatherer(self._read)
        self._waiting = Waiting(self._read_once, provider.hints)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, *, schema: str = "perdure", tenant: str = ""
    ) -> AsyncGenerator[Client]:
        """Connect to Postgres for the length of an `async with` block."""
        async with (
            PostgresProvider(url, schema=schema, application_name="perdure client") as provider,
            cls(provider, tenant=tenant) as client,
        ):
            yield client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of background tasks; calls under way are cancelled. The provider stays open."""
        await self._waiting.close()
        for gatherer in (self._messages, self._commands, self._reads):
            await gatherer.close()

    # ------------------------------------------------------------------ starting

    @overload
    async def start[**P, R](
        self, definition: OrchestrationDef[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> InstanceHandle[R]: ...
    @overload
    async def start[R](
        self,
        definition: OrchestrationDef[..., R],
        /,
        *args: object,
        instance_id: str,
        on_conflict: OnConflict = "reject",
        **kwargs: object,
    ) -> InstanceHandle[R]: ...
    @overload
    async def start[R](
        self,
        definition: str,
        /,
        *,
        result_type: type[R],
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        version: str | None = None,
        **kwargs: object,
    ) -> InstanceHandle[R]: ...
    @overload
    async def start(
        self,
        definition: str,
        /,
        *,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        version: str | None = None,
        **kwargs: object,
    ) -> InstanceHandle[Any]: ...
    async def start(
        self,
        definition: OrchestrationDef[Any, Any] | str,
        /,
        *args: Any,
        **kwargs: Any,
    ) -> InstanceHandle[Any]:
        """Start an orchestration; returns when that is durable.

        By its definition, with its own arguments: checkers see them. An id goes into
        `instance_id=`, or, with all arguments still checked, into
        `definition.options(instance_id=...)`. Or by its name, with arguments by keyword, where
        its code is not at hand.

        Raises:
            InstanceExistsError: The id is taken, and `on_conflict` is "reject".
            PayloadError: An argument does not fit its type or is too large.
            TypeError: An argument is missing or unknown.
            ProviderError: Storage stayed away; the start may have happened or not.
        """
        on_conflict = cast("OnConflict", kwargs.pop("on_conflict", "reject"))
        given = cast("str | None", kwargs.pop("instance_id", None))
        if isinstance(definition, str):
            if args:
                raise TypeError(
                    f"Orchestration {definition!r} is started by name: give arguments by keyword"
                )
            result_type = cast("type[object]", kwargs.pop("result_type", object))
            version = cast("str | None", kwargs.pop("version", None))
            return await self.start_named(
                definition,
                encode(kwargs, what=f"the arguments of {definition!r}"),
                version=version,
                instance_id=given,
                on_conflict=on_conflict,
                result_type=result_type,
            )
        instance = given if given is not None else definition.asked_instance
        return await self._start(
            StartedBody(
                definition.name,
                definition.asked_version,
                definition.encode_arguments(*args, **kwargs),
            ),
            instance,
            on_conflict,
            definition.decode_result,
        )

    async def start_named[R](
        self,
        name: str,
        arguments: JsonText,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        result_type: type[R] = cast("type[Any]", object),  # noqa: B008  `object` as a type of results
    ) -> InstanceHandle[R]:
        """Start by name with arguments that are JSON already: one object, by parameter name.

        Raises:
            DefinitionError: No orchestration can have that name or version.
        """
        checked_name("orchestration", name)
        if version is not None:
            check_version(f"orchestration {name!r}", version)
        return await self._start(
            StartedBody(name, version, arguments),
            instance_id,
            on_conflict,
            partial(decode, as_type=result_type),
        )

    async def start_many[A, R](
        self, definition: OrchestrationDef[[A], R], inputs: Iterable[A]
    ) -> tuple[InstanceHandle[R], ...]:
        """Start one instance for each input of an orchestration that takes one argument."""
        bodies = [
            StartedBody(
                definition.name, definition.asked_version, definition.encode_arguments(value)
            )
            for value in inputs
        ]
        instances = [new_instance_id() for _ in bodies]
        futures = [
            self._messages.put(self._start_message(instance, body))
            for instance, body in zip(instances, bodies, strict=True)
        ]
        for future in futures:
            await future
        return tuple(
            InstanceHandle(self, instance, definition.decode_result) for instance in instances
        )

    async def _start[R](
        self,
        body: StartedBody,
        given: str | None,
        on_conflict: OnConflict,
        decode_result: Callable[[JsonText | None], R],
    ) -> InstanceHandle[R]:
        instance = new_instance_id() if given is None else checked_instance_id(given)
        message = self._start_message(instance, body)
        outcome = await self._messages.submit(message)
        if outcome is EnqueueOutcome.EXISTS and on_conflict == "reject":
            raise InstanceExistsError(
                f"Instance {instance!r} exists already: choose another id, or pass "
                'on_conflict="attach" for a handle on the instance that is there'
            )
        return InstanceHandle(self, instance, decode_result)

    def _start_message(self, instance: InstanceId, body: StartedBody) -> Message:
        self._waiting.expect(instance)
        return Message(
            instance,
            RecordKind.STARTED,
            body=encode_started(body),
            start=NewInstance(body.name, body.version, tenant=self._tenant),
            token=_token(),
        )

    @overload
    def get_handle[R](self, instance_id: str, result_type: type[R]) -> InstanceHandle[R]: ...
    @overload
    def get_handle(self, instance_id: str) -> InstanceHandle[Any]: ...
    def get_handle(self, instance_id: str, result_type: Any = object) -> InstanceHandle[Any]:
        """Return a handle on an instance, whether it exists or not."""
        return InstanceHandle(
            self, stored_instance_id(instance_id), partial(decode, as_type=result_type)
        )

    # ------------------------------------------------------------------ sending

    async def raise_event(self, instance_id: str, name: str, data: object = None) -> None:
        """Raise an event; for an instance that does not exist yet it is kept for a time.

        Raises:
            InstanceFinishedError: The instance has ended.
            InboxFullError: Too many messages wait for it.
            PayloadError: `data` has no JSON form.
            CallerError: No event can have that name, or no instance that id.
        """
        outcome = await self._messages.submit(
            Message(
                stored_instance_id(instance_id),
                RecordKind.EVENT_RAISED,
                ref=checked_event_name(name),
                body=encode(data, what=f"the data of event {name!r}"),
                token=_token(),
            )
        )
        match outcome:
            case EnqueueOutcome.FINISHED:
                raise InstanceFinishedError(
                    f"Instance {instance_id!r} has ended; event {name!r} was not taken"
                )
            case EnqueueOutcome.FULL:
                raise InboxFullError(
                    f"Instance {instance_id!r} has too many unread messages; event {name!r} was "
                    "not taken: raise it again when the instance has caught up"
                )
            case EnqueueOutcome.ACCEPTED | EnqueueOutcome.KEPT | EnqueueOutcome.EXISTS:
                return

    async def cancel(self, instance_id: str, reason: str = "") -> None:
        """Ask an instance to cancel; nothing happens to one that has ended."""
        await self._messages.submit(
            Message(
                stored_instance_id(instance_id),
                RecordKind.CANCEL_REQUESTED,
                body=encode(reason, what="the reason of a cancellation"),
                token=_token(),
            )
        )

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
        outcome = await self._commands.submit(
            Control(stored_instance_id(instance_id), verb, reason)
        )
        if outcome is ControlOutcome.NOT_FOUND:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        if outcome is ControlOutcome.FINISHED and verb is not ControlVerb.TERMINATE:
            raise InstanceFinishedError(
                f"Instance {instance_id!r} has ended; there is nothing to {verb.value}"
            )

    # ------------------------------------------------------------------ reading

    async def get(self, instance_id: str) -> InstanceInfo:
        """Read one instance; raises `InstanceNotFoundError`."""
        info = await self._reads.submit(stored_instance_id(instance_id))
        if info is None:
            raise InstanceNotFoundError(f"No instance has id {instance_id!r}")
        return info

    async def wait_ended(self, instance_id: str) -> InstanceInfo:
        """Wait until an instance has ended, however it did; raises `InstanceNotFoundError`."""
        return await self._waiting.ended(stored_instance_id(instance_id))

    async def history(self, instance_id: str, *, execution: int | None = None) -> tuple[Event, ...]:
        """Read the events of one execution, or of all; raises `InstanceNotFoundError`."""
        instance = stored_instance_id(instance_id)
        records = await self._patience.persist(
            lambda: self._provider.read_history(instance, execution=execution)
        )
        if not records:
            await self.get(instance_id)
        return tuple(events_of(records))

    async def list(
        self,
        *,
        name: str | None = None,
        statuses: Sequence[InstanceStatus] = (),
        prefix: str | None = None,
        parent: str | None = None,
        tenant: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[InstanceInfo]:
        """Yield instances, newest first, reading them page by page."""
        after: str | None = None
        while True:
            page = await self.list_page(
                ListInstances(
                    limit=page_size,
                    after=after,
                    tenant=tenant,
                    name=name,
                    statuses=statuses,
                    prefix=prefix,
                    parent=None if parent is None else InstanceId(parent),
                )
            )
            for info in page.instances:
                yield info
            after = page.next
            if after is None:
                return

    async def list_page(self, query: ListInstances) -> InstancePage:
        """Read one page of instances."""
        if query.limit < 1:
            raise CallerError(f"A page of {query.limit} instances cannot be; ask for at least 1")
        return await self._patience.persist(lambda: self._provider.list_instances(query))

    # ------------------------------------------------------------------ calls of storage

    async def _enqueue(self, messages: Sequence[Message]) -> Sequence[EnqueueOutcome]:
        return await self._patience.persist(lambda: self._provider.enqueue(messages))

    async def _control(self, commands: Sequence[Control]) -> Sequence[ControlOutcome]:
        return await self._patience.persist(lambda: self._provider.control(commands))

    async def _read(self, instances: Sequence[InstanceId]) -> Sequence[InstanceInfo | None]:
        return await self._patience.persist(lambda: self._provider.read_instances(instances))

    async def _read_once(self, instances: Sequence[InstanceId]) -> Sequence[InstanceInfo | None]:
        return await self._provider.read_instances(instances)


def _token() -> LeaseToken:
    return LeaseToken(secrets.randbits(63))
