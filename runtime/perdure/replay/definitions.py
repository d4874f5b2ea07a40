"""Activities and orchestrations as typed objects.

Calling one inside an orchestration schedules it at once and returns a handle to await: so a
fan-out is a list of calls. Checkers see the parameters and the result of the plain function, less
its context. `.options()` returns a copy of the same type that asks for something else; the plain
function stays at hand as `.fn`.
"""

from __future__ import annotations

import inspect
from copy import copy
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Concatenate, Literal, Self, cast, overload

from perdure.errors import DefinitionError, ForbiddenCallError
from perdure.model.codec import decode, encode
from perdure.model.ids import (
    UNTAGGED,
    InstanceId,
    JsonText,
    short,
)
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.records import ParentClose
from perdure.replay.activity_context import ActivityContext
from perdure.replay.checks import (
    checked_activity_options,
    checked_attributes,
    checked_instance,
    checked_name,
    checked_policy,
    checked_priority,
    checked_retry,
    checked_start_options,
    checked_tag,
    checked_timeout,
)
from perdure.replay.classes import run_of
from perdure.replay.current import CURRENT, forbid_in_collector
from perdure.replay.signature import Signature, locals_of_caller
from perdure.replay.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from perdure.model.policy import Retry
    from perdure.replay.classes import Runnable
    from perdure.replay.context import OrchestrationContext
    from perdure.replay.futures import OperationHandle

__all__ = ["Activity", "ActivityContext", "OrchestrationDef", "activity", "orchestration"]


class _Unset:
    """Tells an option left alone from one set to None."""


_UNSET = _Unset()


class _Definition[**P, R]:
    """What activities and orchestrations share: a name, a function, its signature."""

    _kind = "definition"

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None,
        *,
        has_context: bool,
        locals_: Mapping[str, Any],
    ) -> None:
        self.name = checked_name(self._kind, name if name is not None else _name_of(fn))
        self._fn = fn
        self.signature = Signature(
            f"{self._kind} {self.name!r}", fn, has_context=has_context, locals_=locals_
        )
        self.__name__ = self.name
        self.__doc__ = fn.__doc__
        self.__module__ = fn.__module__
        self.__wrapped__ = fn

    @property
    def place(self) -> str:
        """Where it is defined, as `file:line`."""
        code = getattr(inspect.unwrap(self._fn), "__code__", None)
        if code is None:
            return self.__module__
        return f"{code.co_filename}:{code.co_firstlineno}"

    def encode_arguments(self, *args: P.args, **kwargs: P.kwargs) -> JsonText:
        """Encode a call's arguments as one JSON object by name.

        Raises:
            PayloadError: an argument does not fit its type or is too large; it is named.
            TypeError: an argument is missing or unknown; it is named.
        """
        return self.signature.encode(args, kwargs)

    def decode_arguments(self, text: JsonText) -> dict[str, object]:
        """Decode arguments, ready to be passed by keyword.

        Raises:
            PayloadError: an argument is missing, unknown or does not fit its type; it is named.
        """
        return self.signature.decode(text)

    @property
    def result_type(self) -> Any:
        """What the function is annotated to return; `Any` if it does not say."""
        self.signature.hints()
        return self.signature.returns

    def encode_result(self, value: R) -> JsonText:
        """Encode what the function returned, by its annotation.

        Raises:
            PayloadError: it does not fit the annotation, or is too large.
        """
        return encode(value, self.result_type, what=f"the result of {self.signature.owner}")

    def decode_result(self, text: JsonText | None) -> R:
        """Decode a result by the annotation.

        Raises:
            PayloadError: it does not fit.
        """
        what = f"the result of {self.signature.owner}"
        return cast("R", decode(text, self.result_type, what=what))

    def _context(self) -> OrchestrationContext:
        """Find the orchestration that calls."""
        found = CURRENT.get()
        if found is None:
            msg = (
                f"{self._kind} {self.name!r} was called where no orchestration runs; call it in a "
                f"function decorated with @orchestration, or call the plain function "
                f"{self.name}.fn(...){self._elsewhere}"
            )
            raise ForbiddenCallError(msg)
        forbid_in_collector(f"{self._kind} {self.name!r}")
        return found

    _elsewhere = ""

    def __repr__(self) -> str:
        return f"<{self._kind} {self.name!r}>"


class Activity[**P, R](_Definition[P, R]):
    """A function that may touch the world: run at least once, its outcome recorded once."""

    _kind = "activity"

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None = None,
        tag: str = UNTAGGED,
        retry: Retry | None = None,
        timeout: timedelta | float | None = None,
        session: str | None = None,
        priority: int | None = None,
        limit: str | None = None,
        queue_timeout: timedelta | float | None = None,
        heartbeat_timeout: timedelta | float | None = None,
        transactional: bool = False,
        locals_: Mapping[str, Any] | None = None,
    ) -> None:
        """Define an activity; the decorator `activity` is the usual way.

        Raises:
            DefinitionError: an option or the signature cannot be.
        """
        _check_function("activity", fn)
        self.wants_context = _wants(fn, "ActivityContext", ActivityContext)
        super().__init__(fn, name, has_context=self.wants_context, locals_=locals_ or {})
        self.is_async = inspect.iscoroutinefunction(fn)
        owner = self.signature.owner
        self.tag = checked_tag(owner, tag)
        self.retry = checked_retry(owner, retry)
        self.timeout = checked_timeout(owner, timeout)
        self.priority = checked_priority(owner, priority)
        """None: that of the instance that calls."""
        self.transactional = transactional
        """True: what the body writes and its result are one transaction."""
        if transactional and not self.is_async:
            msg = f"{owner} is transactional, so it must be `async def`: it shares a connection"
            raise DefinitionError(msg)
        self.more = checked_activity_options(
            owner,
            session=session,
            limit=limit,
            queue_timeout=queue_timeout,
            heartbeat_timeout=heartbeat_timeout,
        )
        """Rarely given options; None: all at their defaults."""

    @property
    def fn(self) -> Callable[..., Any]:
        """The plain function, for tests and for other activities."""
        return self._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> OperationHandle[R]:
        """Schedule it now; await the handle for its result.

        Raises:
            ForbiddenCallError: no orchestration runs here.
            PayloadError: an argument does not fit its type or is too large.
        """
        return self._context().engine.schedule_activity(
            self.name,
            self.signature.encode(args, kwargs),
            self.tag,
            self.retry,
            self.timeout,
            self.decode_result,
            self.more,
            self.priority,
        )

    def options(
        self,
        *,
        tag: str | _Unset = _UNSET,
        retry: Retry | _Unset | None = _UNSET,
        timeout: timedelta | float | _Unset | None = _UNSET,
        session: str | _Unset | None = _UNSET,
        priority: int | _Unset | None = _UNSET,
        limit: str | _Unset | None = _UNSET,
        queue_timeout: timedelta | float | _Unset | None = _UNSET,
        heartbeat_timeout: timedelta | float | _Unset | None = _UNSET,
    ) -> Self:
        """Return a copy that asks for something else; see `activity` for what.

        Raises:
            DefinitionError: an option cannot be.
        """
        other = copy(self)
        if not isinstance(tag, _Unset):
            other.tag = checked_tag(self.signature.owner, tag)
        if not isinstance(retry, _Unset):
            other.retry = checked_retry(self.signature.owner, retry)
        if not isinstance(timeout, _Unset):
            other.timeout = checked_timeout(self.signature.owner, timeout)
        if not isinstance(priority, _Unset):
            other.priority = checked_priority(self.signature.owner, priority)
        asked = (session, limit, queue_timeout, heartbeat_timeout)
        if any(each is not _UNSET for each in asked):
            has = self.more or _PLAIN
            other.more = checked_activity_options(
                self.signature.owner,
                session=_or(session, has.session),
                limit=_or(limit, has.limit),
                queue_timeout=_or(queue_timeout, has.queue_timeout),
                heartbeat_timeout=_or(heartbeat_timeout, has.heartbeat_timeout),
            )
        return other

    def with_body(self, body: Callable[..., Coroutine[Any, Any, Any]]) -> Self:
        """Return a copy that does something else when it is run: for tests."""
        other = copy(self)
        other._fn = body  # noqa: SLF001  a copy of this very object
        other.is_async = True
        return other


_PLAIN = ActivityOptions()


def _or[T](asked: T | _Unset, otherwise: T) -> T:
    return otherwise if isinstance(asked, _Unset) else asked


class OrchestrationDef[**P, R](_Definition[P, R]):
    """A deterministic function that says what happens next; it outlives every process."""

    _kind = "orchestration"
    _elsewhere = ", or start it with Client.start(...)"

    def __init__(
        self,
        fn: Callable[..., Coroutine[Any, Any, R]],
        *,
        name: str | None = None,
        version: str = "1.0.0",
        on_nondeterminism: Literal["block", "fail"] | None = None,
        locals_: Mapping[str, Any] | None = None,
    ) -> None:
        """Define an orchestration; the decorator `orchestration` is the usual way.

        Raises:
            DefinitionError: name, version or signature cannot be.
        """
        _check_function("orchestration", fn)
        shown = name if name is not None else _name_of(fn)
        if not inspect.iscoroutinefunction(fn):
            msg = f"orchestration {shown!r} must be `async def`"
            raise DefinitionError(msg)
        parameters = list(inspect.signature(fn).parameters.values())
        if not parameters or parameters[0].kind not in _POSITIONAL:
            msg = f"orchestration {shown!r} must take `ctx: OrchestrationContext` first"
            raise DefinitionError(msg)
        super().__init__(fn, name, has_context=True, locals_=locals_ or {})
        self.version = check_version(self.signature.owner, version)
        self.on_nondeterminism = checked_policy(self.signature.owner, on_nondeterminism)
        """What becomes of a run that cannot go on; None: what its replayer says."""
        self.asked_instance: InstanceId | None = None
        """The id that `.options(instance_id=...)` asked for."""
        self.asked_version: str | None = None
        """The version that `.options(version=...)` asked for; None: the latest."""
        self.priority: int | None = None
        """What `.options(priority=...)` asked for; None: that of the instance that calls."""
        self.more: StartOptions | None = None
        """What else `.options` asked for; None: all at their defaults."""

    @property
    def fn(self) -> Callable[Concatenate[OrchestrationContext, P], Coroutine[Any, Any, R]]:
        """The plain coroutine function."""
        return self._fn

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> OperationHandle[R]:
        """Start it as a sub-orchestration now; await the handle for its result.

        Raises:
            ForbiddenCallError: no orchestration runs here.
            PayloadError: an argument does not fit its type or is too large.
        """
        return self._context().engine.start_child(
            self.name,
            self.asked_version,
            self.asked_instance,
            self.signature.encode(args, kwargs),
            self.decode_result,
            self.more,
            self.priority,
        )

    def options(
        self,
        *,
        instance_id: str | _Unset | None = _UNSET,
        version: str | _Unset | None = _UNSET,
        parent_close: ParentClose | Literal["cancel", "terminate", "abandon"] | _Unset = _UNSET,
        priority: int | _Unset | None = _UNSET,
        limit: str | _Unset | None = _UNSET,
        timeout: timedelta | float | _Unset | None = _UNSET,
        attributes: Mapping[str, str | float | bool] | _Unset | None = _UNSET,
    ) -> Self:
        """Return a copy that starts otherwise.

        Args:
            instance_id: Its id; by default a child's derives from its parent and the call.
            version: Exactly this one; by default the latest where its first turn runs.
            parent_close: What becomes of a child when its parent's execution ends first.
            priority: Of its activities and children; by default that of the instance that calls.
            limit: Its first turn waits until the limit of this key admits it.
            timeout: For the whole run, over all its executions.
            attributes: What it is found by.

        Raises:
            DefinitionError: an option cannot be.
        """
        other = copy(self)
        if not isinstance(instance_id, _Unset):
            other.asked_instance = checked_instance(self.signature.owner, instance_id)
        if not isinstance(version, _Unset):
            other.asked_version = (
                None if version is None else check_version(self.signature.owner, version)
            )
        if not isinstance(priority, _Unset):
            other.priority = checked_priority(self.signature.owner, priority)
        if any(each is not _UNSET for each in (parent_close, limit, timeout, attributes)):
            has = self.more or StartOptions()
            other.more = checked_start_options(
                self.signature.owner,
                parent_close=_or(parent_close, has.parent_close),
                limit=_or(limit, has.limit),
                timeout=_or(timeout, has.timeout),
                attributes=has.attributes
                if isinstance(attributes, _Unset)
                else checked_attributes(self.signature.owner, attributes or {}),
            )
        return other

    def start_detached(self, *args: P.args, **kwargs: P.kwargs) -> InstanceId:
        """Start it as an instance of its own that nobody waits for; return its id.

        Raises:
            ForbiddenCallError: no orchestration runs here.
            PayloadError: an argument does not fit its type or is too large.
        """
        return self._context().engine.start_detached(
            self.name,
            self.asked_version,
            self.asked_instance,
            self.signature.encode(args, kwargs),
            self.more,
            self.priority,
        )


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


# ---------------------------------------------------------------------- decorators


_OPTIONS = (
    *("name", "tag", "retry", "timeout", "session", "priority", "limit"),
    *("queue_timeout", "heartbeat_timeout", "transactional"),
)


class _ActivityDecorator:
    """What `@activity(...)` with options returns."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self._options = options

    @overload
    def __call__[**P, R](
        self, fn: Callable[Concatenate[ActivityContext, P], Coroutine[Any, Any, R]], /
    ) -> Activity[P, R]: ...
    @overload
    def __call__[**P, R](
        self, fn: Callable[Concatenate[ActivityContext, P], R], /
    ) -> Activity[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[P, R], /) -> Activity[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> Activity[..., Any]:
        """Define the activity."""
        options = cast("dict[str, Any]", self._options)
        return Activity(fn, **options, locals_=locals_of_caller(1))


@overload
def activity[**P, R](
    fn: Callable[Concatenate[ActivityContext, P], Coroutine[Any, Any, R]], /
) -> Activity[P, R]: ...
@overload
def activity[**P, R](fn: Callable[Concatenate[ActivityContext, P], R], /) -> Activity[P, R]: ...
@overload
def activity[**P, R](fn: Callable[P, Coroutine[Any, Any, R]], /) -> Activity[P, R]: ...
@overload
def activity[**P, R](fn: Callable[P, R], /) -> Activity[P, R]: ...
@overload
def activity(
    *,
    name: str | None = None,
    tag: str = UNTAGGED,
    retry: Retry | None = None,
    timeout: timedelta | float | None = None,
    session: str | None = None,
    priority: int | None = None,
    limit: str | None = None,
    queue_timeout: timedelta | float | None = None,
    heartbeat_timeout: timedelta | float | None = None,
    transactional: bool = False,
) -> _ActivityDecorator: ...
def activity(
    fn: Callable[..., Any] | None = None,
    /,
    **options: object,
) -> Activity[..., Any] | _ActivityDecorator:
    """Make a function an activity: `@activity`, or `@activity(tag="gpu", retry=Retry(5))`.

    Args:
        fn: A plain or async function; its first parameter may be an `ActivityContext`.
        name: What histories call it; by default the function's name.
        tag: Which executors may run it; by default those that take untagged work.
        retry: When to try again; by default never.
        timeout: For one attempt, from its start; seconds or a timedelta.
        session: Activities of one session go to one executor.
        priority: Among those due of one tag the greater goes first; -100 to 100.
        limit: Counts against the limit of this key, if one is set.
        queue_timeout: Fails if no executor has started it within this time of being scheduled.
        heartbeat_timeout: An attempt that tells of no progress for this long has timed out.
        transactional: What the body writes through its context and its result are one transaction.
        **options: The above.

    Raises:
        DefinitionError: an option or the signature cannot be.
    """
    if fn is None:
        if unknown := sorted(options.keys() - set(_OPTIONS)):
            msg = f"@activity has no option {unknown[0]!r}; it has {', '.join(_OPTIONS)}"
            raise TypeError(msg)
        return _ActivityDecorator(options)
    return Activity(fn, locals_=locals_of_caller(1))


class _OrchestrationDecorator:
    """What `@orchestration(...)` with options returns."""

    def __init__(
        self, name: str | None, version: str, policy: Literal["block", "fail"] | None
    ) -> None:
        self._name, self._version = name, version
        self._policy: Literal["block", "fail"] | None = policy

    @overload
    def __call__[**P, R](
        self, fn: Callable[Concatenate[OrchestrationContext, P], Coroutine[Any, Any, R]], /
    ) -> OrchestrationDef[P, R]: ...
    @overload
    def __call__[**P, R](self, fn: Callable[[], Runnable[P, R]], /) -> OrchestrationDef[P, R]: ...
    def __call__(self, fn: Callable[..., Any], /) -> OrchestrationDef[..., Any]:
        """Define the orchestration."""
        return _orchestration(fn, self._name, self._version, self._policy, locals_of_caller(1))


@overload
def orchestration[**P, R](
    fn: Callable[Concatenate[OrchestrationContext, P], Coroutine[Any, Any, R]], /
) -> OrchestrationDef[P, R]: ...
@overload
def orchestration[**P, R](cls: Callable[[], Runnable[P, R]], /) -> OrchestrationDef[P, R]: ...
@overload
def orchestration(
    *,
    name: str | None = None,
    version: str = "1.0.0",
    on_nondeterminism: Literal["block", "fail"] | None = None,
) -> _OrchestrationDecorator: ...
def orchestration(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    version: str = "1.0.0",
    on_nondeterminism: Literal["block", "fail"] | None = None,
) -> OrchestrationDef[..., Any] | _OrchestrationDecorator:
    """Make an async function, or a class with such a method `run`, an orchestration.

    Args:
        fn: Takes an `OrchestrationContext` first. For classes see `perdure.replay.classes`.
        name: What histories call it; by default the function's name.
        version: Semantic version. A running instance goes on with the version it started with.
        on_nondeterminism: What becomes of a run whose code decides otherwise than its history, or
            that cannot go on for another reason of its code: `block` parks it until the code is
            mended and the run resumed, `fail` ends it as Failed. By default as the replayer is set.

    Raises:
        DefinitionError: name, version or signature cannot be.
    """
    if fn is None:
        return _OrchestrationDecorator(name, version, on_nondeterminism)
    return _orchestration(fn, name, version, on_nondeterminism, locals_of_caller(1))


def _orchestration(
    fn: Callable[..., Any],
    name: str | None,
    version: str,
    policy: Literal["block", "fail"] | None,
    locals_: Mapping[str, Any],
) -> OrchestrationDef[..., Any]:
    """Define an orchestration by a function or a class."""
    if inspect.isclass(fn):
        name = fn.__name__ if name is None else name
        fn = run_of(fn, locals_)
    return OrchestrationDef(
        fn, name=name, version=version, on_nondeterminism=policy, locals_=locals_
    )


# ----------------------------------------------------------------- reading functions


def _check_function(kind: str, fn: object) -> None:
    """Refuse what cannot be decorated."""
    if isinstance(fn, _Definition):
        msg = f"{fn.signature.owner} is decorated twice: @{kind} takes the plain function"
        raise DefinitionError(msg)
    if not callable(fn):
        msg = f"@{kind} decorates a function; found {short(fn)}"
        raise DefinitionError(msg)


def _name_of(fn: Callable[..., Any]) -> str:
    return str(getattr(fn, "__name__", type(fn).__name__))


def _wants(fn: Callable[..., Any], name: str, kind: type[object]) -> bool:
    """Tell whether the first parameter asks for the context, resolved or as text."""
    parameters = list(inspect.signature(fn).parameters.values())
    if not parameters:
        return False
    annotation: object = parameters[0].annotation
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("\"'") == name
    return isinstance(annotation, type) and issubclass(annotation, kind)
