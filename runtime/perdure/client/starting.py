"""Starting orchestrations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from perdure.client.base import ClientBase
from perdure.client.handle import ANY, InstanceHandle
from perdure.client.instance_ids import checked_instance_id, new_instance_id, stored_instance_id
from perdure.client.queries import encode_attributes
from perdure.errors import CallerError, InstanceExistsError, PayloadError
from perdure.model.codec import decode, encode, encode_started
from perdure.model.ids import InstanceId, JsonText
from perdure.model.options import StartOptions
from perdure.model.records import RecordKind, StartedBody
from perdure.providers.work import EnqueueOutcome, Message, NewInstance
from perdure.replay.checks import (
    checked_label,
    checked_name,
    checked_priority,
    checked_timeout,
)
from perdure.replay.definitions import OrchestrationDef
from perdure.replay.versions import check_version

if TYPE_CHECKING:
    from perdure.client.client import Client

__all__ = ["OnConflict", "Starting"]

type OnConflict = Literal["reject", "attach"]
"""What a start does when its id is taken: raise, or return a handle on the instance there."""


@dataclass(frozen=True, slots=True)
class _Wanted[R]:
    """One start, checked."""

    body: StartedBody
    instance: str | None
    decode: Callable[[JsonText | None], R]
    attributes: JsonText | None = None
    limit: str | None = None


_USUAL = StartOptions()


def _body_of(definition: OrchestrationDef[..., Any], arguments: JsonText) -> StartedBody:
    """Say what an orchestration starts with, by its definition and what was asked of that."""
    more = definition.more or _USUAL
    return StartedBody(
        definition.name,
        definition.asked_version,
        arguments,
        priority=definition.priority or 0,
        timeout=more.timeout,
    )


def _checked(definition: object) -> OrchestrationDef[..., Any]:
    if isinstance(definition, OrchestrationDef):
        return cast("OrchestrationDef[..., Any]", definition)
    raise TypeError(
        f"an orchestration is started, or the name of one, not {definition!r}: decorate it "
        "with @orchestration"
    )


def _check_object(what: str, arguments: str) -> None:
    """Refuse arguments that no code could take: the run would fail where nobody looks."""
    try:
        found: object = json.loads(arguments)
    except ValueError as error:
        raise PayloadError(f"the arguments of {what} are no JSON: {error}") from None
    if not isinstance(found, dict):
        raise PayloadError(
            f"the arguments of {what} are a JSON {type(found).__name__}; expected an object with "
            "the arguments by name"
        )


class Starting(ClientBase):
    """The verbs that make instances."""

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
        connection: object | None = None,
        **kwargs: object,
    ) -> InstanceHandle[R]: ...
    @overload
    async def start[R](
        self,
        definition: OrchestrationDef[..., R],
        /,
        *args: object,
        connection: object,
        instance_id: str | None = None,
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
        connection: object | None = None,
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
        connection: object | None = None,
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
        `definition.options(instance_id=...)`, where every other option is given too. Or by its
        name, with arguments by keyword, where its code is not at hand.

        With `connection` (of the same database, in a transaction) it is started if and only if
        that transaction commits.

        Raises:
            InstanceExistsError: The id is taken, and `on_conflict` is "reject".
            PayloadError: An argument does not fit its type or is too large.
            TypeError: An argument is missing or unknown.
            ProviderError: Storage stayed away; the start may have happened or not.
        """
        on_conflict = cast("OnConflict", kwargs.pop("on_conflict", "reject"))
        given = cast("str | None", kwargs.pop("instance_id", None))
        connection = cast("object | None", kwargs.pop("connection", None))
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
                connection=connection,
            )
        body = _body_of(_checked(definition), definition.encode_arguments(*args, **kwargs))
        instance = given if given is not None else definition.asked_instance
        more = definition.more or _USUAL
        wanted = _Wanted(body, instance, definition.decode_result, more.attributes, more.limit)
        return await self._start(wanted, on_conflict, connection)

    async def start_named[R](
        self,
        name: str,
        arguments: JsonText,
        *,
        version: str | None = None,
        instance_id: str | None = None,
        on_conflict: OnConflict = "reject",
        result_type: type[R] = ANY,
        priority: int = 0,
        attributes: Mapping[str, object] | None = None,
        limit: str | None = None,
        timeout: timedelta | None = None,
        connection: object | None = None,
    ) -> InstanceHandle[R]:
        """Start by name with arguments that are JSON already: one object, by parameter name.

        Args:
            name: Of the orchestration.
            arguments: A JSON object.
            version: Exactly this version; None: the latest where its first turn is taken.
            instance_id: None makes one up.
            on_conflict: What to do when the id is taken.
            result_type: What the handle's `result` returns.
            priority: Of its activities and children; the greater goes first.
            attributes: What it is found by: strings, numbers, booleans.
            limit: It starts when the limit of this key admits it.
            timeout: The run ends as TimedOut after this time, all its executions together.
            connection: Started if and only if its transaction commits.

        Raises:
            DefinitionError: No orchestration can have that name, version, or option.
            PayloadError: `arguments` is no JSON object.
        """
        what = f"orchestration {checked_name('orchestration', name)!r}"
        if version is not None:
            check_version(what, version)
        checked_priority(what, priority)
        checked_timeout(what, timeout)
        checked_label(what, "limit", limit)
        _check_object(what, arguments)
        body = StartedBody(name, version, arguments, priority=priority, timeout=timeout)
        wanted = _Wanted(
            body,
            instance_id,
            partial(decode, as_type=result_type, what=f"the result of {what}"),
            None if attributes is None else encode_attributes(attributes),
            limit,
        )
        return await self._start(wanted, on_conflict, connection)

    async def start_many[A, R](
        self, definition: OrchestrationDef[[A], R], inputs: Iterable[A]
    ) -> tuple[InstanceHandle[R], ...]:
        """Start one instance for each input of an orchestration that takes one argument."""
        bodies = [
            _body_of(_checked(definition), definition.encode_arguments(value)) for value in inputs
        ]
        more = definition.more or _USUAL
        instances = [new_instance_id() for _ in bodies]
        futures = [
            self._messages.put(self._start_message(instance, body, more.attributes, more.limit))
            for instance, body in zip(instances, bodies, strict=True)
        ]
        for future in futures:
            await future
        return tuple(self._handle(instance, definition.decode_result) for instance in instances)

    async def _start[R](
        self, wanted: _Wanted[R], on_conflict: OnConflict, connection: object | None
    ) -> InstanceHandle[R]:
        if on_conflict not in {"reject", "attach"}:
            raise CallerError(
                f"on_conflict is {on_conflict!r}; it can be 'reject', which raises where the id is "
                "taken, or 'attach', which returns a handle on what is there"
            )
        given = wanted.instance
        instance = new_instance_id() if given is None else checked_instance_id(given)
        message = self._start_message(instance, wanted.body, wanted.attributes, wanted.limit)
        outcome = await self._send(message, connection)
        if outcome is EnqueueOutcome.EXISTS and on_conflict == "reject":
            raise InstanceExistsError(
                f"Instance {instance!r} exists already: choose another id, or pass "
                'on_conflict="attach" for a handle on the instance that is there'
            )
        return self._handle(instance, wanted.decode)

    def _start_message(
        self,
        instance: InstanceId,
        body: StartedBody,
        attributes: JsonText | None = None,
        limit: str | None = None,
    ) -> Message:
        self._waiting.expect(instance)
        if attributes is not None:
            body = replace(body, attributes=attributes)  # for its code to read
        return Message(
            instance,
            RecordKind.STARTED,
            body=encode_started(body),
            start=NewInstance(
                body.name, body.version, tenant=self._tenant, attributes=attributes, limit=limit
            ),
            token=self._token(),
        )

    @overload
    def get_handle[R](self, instance_id: str, result_type: type[R]) -> InstanceHandle[R]: ...
    @overload
    def get_handle(self, instance_id: str) -> InstanceHandle[Any]: ...
    def get_handle(self, instance_id: str, result_type: Any = object) -> InstanceHandle[Any]:
        """Return a handle on an instance, whether it exists or not."""
        instance = stored_instance_id(instance_id)
        what = f"the result of instance {instance!r}"
        return self._handle(instance, partial(decode, as_type=result_type, what=what))

    def _handle[R](
        self, instance: InstanceId, decode_result: Callable[[JsonText | None], R]
    ) -> InstanceHandle[R]:
        return InstanceHandle(cast("Client", self), instance, decode_result)
