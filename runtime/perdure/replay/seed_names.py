"""What an orchestration may ask for, by name and under the names that duroxide gave it.

Each is one line of the Pythonic spelling beside it; `docs/authoring.md` has them side by side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from perdure.model.codec import decode, encode
from perdure.model.ids import UNTAGGED, InstanceId, JsonText
from perdure.replay import races
from perdure.replay.basics import Basics
from perdure.replay.checks import (
    checked_activity_options,
    checked_instance,
    checked_name,
    checked_priority,
    checked_retry,
    checked_tag,
    checked_timeout,
)
from perdure.replay.definitions import Activity, OrchestrationDef
from perdure.replay.retrying import call_with_retry
from perdure.replay.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from types import UnionType

    from perdure.model.policy import Retry
    from perdure.replay.futures import OperationHandle

__all__ = ["SeedNames"]

_NO_OPTIONS: dict[str, Any] = {
    "session": None,
    "limit": None,
    "queue_timeout": None,
    "heartbeat_timeout": None,
}


class SeedNames(Basics):
    """For those who come from duroxide, and for calls by name."""

    __slots__ = ()

    # ----------------------------------------------------- activities, orchestrations

    @overload
    def schedule_activity[**P, R](
        self, activity: Activity[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> OperationHandle[R]: ...
    @overload
    def schedule_activity(
        self,
        activity: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: UnionType = ...,
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        session: str | None = None,
        priority: int | None = None,
        limit: str | None = None,
        queue_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> OperationHandle[Any]: ...
    @overload
    def schedule_activity[T](
        self,
        activity: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: type[T],
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        session: str | None = None,
        priority: int | None = None,
        limit: str | None = None,
        queue_timeout: timedelta | None = None,
        heartbeat_timeout: timedelta | None = None,
    ) -> OperationHandle[T]: ...
    def schedule_activity(self, activity: Any, *args: Any, **kwargs: Any) -> Any:
        """Schedule an activity now: like calling it, or by name with its arguments in a mapping."""
        if isinstance(activity, str):
            return self._activity_by_name(activity, *args, **kwargs)
        return _checked_activity(activity)(*args, **kwargs)

    def _activity_by_name(
        self,
        name: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: Any = Any,
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        priority: int | None = None,
        **options: Any,
    ) -> OperationHandle[Any]:
        what = f"activity {checked_name('activity', name)!r}"
        if unknown := sorted(options.keys() - _NO_OPTIONS.keys()):
            msg = f"{what} has no option {unknown[0]!r}; its arguments go into one mapping"
            raise TypeError(msg)
        return self.engine.schedule_activity(
            name,
            _by_name(what, arguments),
            checked_tag(what, tag),
            checked_retry(what, retry),
            checked_timeout(what, timeout),
            _decoder(what, result_type),
            checked_activity_options(what, **(_NO_OPTIONS | options)) if options else None,
            checked_priority(what, priority),
        )

    @overload
    def schedule_activity_on_session[**P, R](
        self, activity: Activity[P, R], session: str, /, *args: P.args, **kwargs: P.kwargs
    ) -> OperationHandle[R]: ...
    @overload
    def schedule_activity_on_session(
        self, activity: str, session: str, /, arguments: Mapping[str, object] | None = None
    ) -> OperationHandle[Any]: ...
    def schedule_activity_on_session(
        self, activity: Any, session: str, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Schedule an activity now, on a session: `activity.options(session=...)(...)`."""
        if isinstance(activity, str):
            return self._activity_by_name(activity, *args, **kwargs, session=session)
        return _checked_activity(activity).options(session=session)(*args, **kwargs)

    @overload
    def schedule_activity_with_retry[**P, R](
        self, activity: Activity[P, R], retry: Retry, /, *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Task[R]: ...
    @overload
    def schedule_activity_with_retry(
        self,
        activity: str,
        retry: Retry,
        /,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout: timedelta | None = None,
    ) -> asyncio.Task[Any]: ...
    def schedule_activity_with_retry(
        self, activity: Any, retry: Retry, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Try an activity again in the orchestration's own code, each attempt a call of its own.

        An attempt that times out ends it: only failures are tried again. A policy on the activity
        (`activity.options(retry=...)`) is the usual way, and tries timed-out attempts again too.
        """
        if isinstance(activity, str):
            name = checked_name("activity", activity)

            def call() -> Awaitable[Any]:
                return self._activity_by_name(name, *args, **kwargs)

        else:
            name, once = _checked_activity(activity).name, activity.options(retry=None)

            def call() -> Awaitable[Any]:
                handle: Awaitable[Any] = once(*args, **kwargs)
                return handle

        checked_retry(f"activity {name!r}", retry)
        return asyncio.create_task(call_with_retry(self, name, retry, call))

    @overload
    def schedule_activity_with_retry_on_session[**P, R](
        self,
        activity: Activity[P, R],
        retry: Retry,
        session: str,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> asyncio.Task[R]: ...
    @overload
    def schedule_activity_with_retry_on_session(
        self,
        activity: str,
        retry: Retry,
        session: str,
        /,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout: timedelta | None = None,
    ) -> asyncio.Task[Any]: ...
    def schedule_activity_with_retry_on_session(
        self, activity: Any, retry: Retry, session: str, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Do `schedule_activity_with_retry` on a session."""
        if isinstance(activity, str):
            kwargs["session"] = session
            return self.schedule_activity_with_retry(activity, retry, *args, **kwargs)
        on_session = activity.options(session=session)
        return self.schedule_activity_with_retry(on_session, retry, *args, **kwargs)

    @overload
    def schedule_sub_orchestration[**P, R](
        self, orchestration: OrchestrationDef[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> OperationHandle[R]: ...
    @overload
    def schedule_sub_orchestration(
        self,
        orchestration: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: UnionType = ...,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> OperationHandle[Any]: ...
    @overload
    def schedule_sub_orchestration[T](
        self,
        orchestration: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: type[T],
        instance_id: str | None = None,
        version: str | None = None,
    ) -> OperationHandle[T]: ...
    def schedule_sub_orchestration(self, orchestration: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a child now: like calling it, or by name with its arguments in a mapping."""
        if isinstance(orchestration, str):
            return self._child_by_name(orchestration, *args, **kwargs)
        return orchestration(*args, **kwargs)

    def _child_by_name(
        self,
        name: str,
        arguments: Mapping[str, object] | None = None,
        *,
        result_type: Any = Any,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> OperationHandle[Any]:
        what = f"orchestration {checked_name('orchestration', name)!r}"
        return self.engine.start_child(
            name,
            None if version is None else check_version(what, version),
            checked_instance(what, instance_id),
            _by_name(what, arguments),
            _decoder(what, result_type),
        )

    def schedule_orchestration(
        self,
        orchestration: OrchestrationDef[..., Any] | str,
        instance_id: str | None = None,
        arguments: Mapping[str, object] | None = None,
        *,
        version: str | None = None,
    ) -> InstanceId:
        """Start an instance that nobody waits for; return its id."""
        name = orchestration if isinstance(orchestration, str) else orchestration.name
        what = f"orchestration {checked_name('orchestration', name)!r}"
        child = checked_instance(what, instance_id)
        if version is not None:
            check_version(what, version)
        if isinstance(orchestration, str):
            text = _by_name(what, arguments)
            return self.engine.start_detached(orchestration, version, child, text)
        text = orchestration.signature.encode((), arguments or {})
        return self.engine.start_detached(
            orchestration.name,
            version or orchestration.asked_version,
            child or orchestration.asked_instance,
            text,
            orchestration.more,
            orchestration.priority,
        )

    def schedule_timer(self, delay: timedelta | float) -> OperationHandle[None]:
        """Start a durable timer of so many seconds now; awaited it is `asyncio.sleep`."""
        try:
            found = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
        except (TypeError, ValueError, OverflowError):
            msg = (
                f"a timer of {delay!r} cannot be; expected a number of seconds or a timedelta, "
                "and for no end no timer"
            )
            raise ValueError(msg) from None
        return self.engine.schedule_timer(max(found, timedelta(0)))

    def new_guid(self) -> str:
        """Return `uuid4()` as text."""
        return str(self.uuid4())

    def utc_now(self) -> datetime:
        """Return `now()`."""
        return self.engine.now

    def trace_debug(self, message: str) -> None:
        """Log at level DEBUG, silent on replay."""
        self.logger.debug(message, stacklevel=2)

    def trace_info(self, message: str) -> None:
        """Log at level INFO, silent on replay."""
        self.logger.info(message, stacklevel=2)

    def trace_warn(self, message: str) -> None:
        """Log at level WARNING, silent on replay."""
        self.logger.warning(message, stacklevel=2)

    def trace_error(self, message: str) -> None:
        """Log at level ERROR, silent on replay."""
        self.logger.error(message, stacklevel=2)

    # ----------------------------------------------------------------------- keys

    def set_kv_value(self, key: str, value: object) -> None:
        """Set a key: `ctx.kv[key] = value`."""
        self.kv[key] = value

    @overload
    def get_kv_value(self, key: str) -> Any: ...
    @overload
    def get_kv_value[T](self, key: str, as_type: type[T]) -> T | None: ...
    def get_kv_value(self, key: str, as_type: Any = Any) -> Any:
        """Return a key's value, None if it is not set: `ctx.kv.get(key)`."""
        return self.kv.typed(as_type).get(key)

    def get_kv_all_values(self) -> dict[str, Any]:
        """Return the whole map: `dict(ctx.kv)`."""
        return dict(self.kv)

    def get_kv_all_keys(self) -> list[str]:
        """Return the keys, in the order in which they were first set: `list(ctx.kv)`."""
        return list(self.kv)

    def get_kv_length(self) -> int:
        """Return the number of keys: `len(ctx.kv)`."""
        return len(self.kv)

    def clear_kv_value(self, key: str) -> None:
        """Clear a key, if it is set: `ctx.kv.pop(key, None)`."""
        self.kv.discard(key)

    def clear_all_kv_values(self) -> None:
        """Clear all keys: `ctx.kv.clear()`."""
        self.kv.clear()

    def prune_kv_values_updated_before(self, before: datetime) -> int:
        """Clear the keys last set before a time; return how many: `ctx.kv.prune(before)`."""
        return self.kv.prune(before)

    @overload
    def get_kv_value_from_instance(self, instance_id: str, key: str) -> OperationHandle[Any]: ...
    @overload
    def get_kv_value_from_instance[T](
        self, instance_id: str, key: str, as_type: type[T]
    ) -> OperationHandle[T | None]: ...
    def get_kv_value_from_instance(
        self, instance_id: str, key: str, as_type: Any = Any
    ) -> OperationHandle[Any]:
        """Read another instance's key: `ctx.kv_of(instance_id).get(key)`."""
        return self.kv_of(instance_id).get(key, as_type)

    # --------------------------------------------------------------------- races

    async def select2[A, B](
        self, first: Awaitable[A], second: Awaitable[B]
    ) -> tuple[Literal[0], A] | tuple[Literal[1], B]:
        """Wait for either; return which, with its result; the other is cancelled.

        Raises:
            BaseException: what the winner raised.
        """
        return await races.select(first, second)  # type: ignore[return-value]  # 0 with A, 1 with B

    async def select3[A, B, C](
        self, first: Awaitable[A], second: Awaitable[B], third: Awaitable[C]
    ) -> tuple[Literal[0], A] | tuple[Literal[1], B] | tuple[Literal[2], C]:
        """Wait for any of three, see `select2`."""
        return await races.select(first, second, third)  # type: ignore[return-value]  # as above

    async def select[T](self, awaitables: Iterable[Awaitable[T]]) -> tuple[int, T]:
        """Wait for the first of many, see `select2`."""
        return await races.select(*awaitables)

    async def join[T](self, awaitables: Iterable[Awaitable[T]]) -> list[T | BaseException]:
        """Wait for all; return results, or what was raised, in the order of the arguments."""
        return await races.join(*awaitables)

    async def join2[A, B](
        self, first: Awaitable[A], second: Awaitable[B]
    ) -> tuple[A | BaseException, B | BaseException]:
        """Wait for both, see `join`."""
        found = await races.join(first, second)
        return found[0], found[1]

    async def join3[A, B, C](
        self, first: Awaitable[A], second: Awaitable[B], third: Awaitable[C]
    ) -> tuple[A | BaseException, B | BaseException, C | BaseException]:
        """Wait for all three, see `join`."""
        found = await races.join(first, second, third)
        return found[0], found[1], found[2]


def _by_name(what: str, arguments: Mapping[str, object] | None) -> JsonText:
    found: Any = {} if arguments is None else arguments
    keys: list[Any] = list(found) if isinstance(found, Mapping) else [None]  # pyright: ignore[reportUnknownArgumentType]  of whatever was given
    if not all(isinstance(each, str) for each in keys):
        msg = f"{what} is called by name: its arguments are a mapping by parameter, not {found!r}"
        raise TypeError(msg)
    return encode(dict(arguments or {}), what=f"the arguments of {what}")


def _checked_activity(activity: Any) -> Any:
    """Refuse a plain function, which would run within the turn."""
    if isinstance(activity, Activity):
        return cast("Activity[..., Any]", activity)
    msg = (
        f"schedule_activity takes an activity or the name of one, not {activity!r}: "
        "decorate it with @activity"
    )
    raise TypeError(msg)


class _decoder:  # noqa: N801  used as a function
    """Decodes the result of something known by name only."""

    __slots__ = ("_type", "_what")

    def __init__(self, what: str, as_type: Any) -> None:
        self._what, self._type = f"the result of {what}", as_type

    def __call__(self, text: JsonText | None) -> Any:
        return decode(text, self._type, what=self._what)
