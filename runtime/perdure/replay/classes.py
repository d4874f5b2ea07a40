"""Orchestrations as classes: for long-lived things that are asked and told from outside.

::

    class Cart:
        def __init__(self) -> None:
            self.lines: list[str] = []

        async def run(self, ctx: OrchestrationContext, owner: str) -> int:
            await ctx.wait_event("pay")
            return len(self.lines)

        @query
        def count(self) -> int: ...

        @update
        async def add(self, line: str) -> int: ...

        @add.validator
        def check(self, line: str) -> None: ...

        @event
        def renamed(self, owner: str) -> None: ...

    cart = orchestration(Cart)  # of the type that a function's would be, to every checker

It is the function form with the state in an object: one is made, without arguments, for every
execution, and its methods are what inner functions are there. An `@event` method is called for
each event of its name in turn, one after the other; what it raises fails the run. `@orchestration`
above the class does the same, but mypy does not believe a decorator that makes something else of a
class.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Concatenate, Protocol, overload

from perdure.errors import DefinitionError
from perdure.model.ids import NAME_BYTES_MAX, fault_of, short
from perdure.replay.failures import explain_foreign, failure_from
from perdure.replay.requests import Handler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from perdure.replay.context import OrchestrationContext

__all__ = ["Runnable", "UpdateMethod", "event", "query", "run_of", "update"]

_MARK = "__perdure_answers__"


class Runnable[**P, R](Protocol):
    """An object whose `run` is an orchestration."""

    def run(
        self, ctx: OrchestrationContext, /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, R]:
        """Decide what happens next."""
        ...


class _Mark:
    """What a method answers to."""

    __slots__ = ("kind", "name")

    def __init__(self, kind: str, name: str | None) -> None:
        self.kind, self.name = kind, name


class _Decorator(Protocol):
    """What a decorator with a name returns."""

    def __call__[F: Callable[..., object]](self, fn: F, /) -> F: ...


def _mark(kind: str, fn: Any, name: str | None) -> Any:
    def add(fn: Any) -> Any:
        setattr(fn, _MARK, _Mark(kind, name))
        return fn

    return add if fn is None else add(fn)


@overload
def query[F: Callable[..., object]](fn: F, /) -> F: ...
@overload
def query(fn: None = None, /, *, name: str) -> _Decorator: ...
def query(fn: Any = None, /, *, name: str | None = None) -> Any:
    """Answer queries by a method of an orchestration's class, see `OrchestrationContext.query`."""
    return _mark("query", fn, name)


@overload
def event[F: Callable[..., object]](fn: F, /) -> F: ...
@overload
def event(fn: None = None, /, *, name: str) -> _Decorator: ...
def event(fn: Any = None, /, *, name: str | None = None) -> Any:
    """Call a method of an orchestration's class, sync or async, for each event of its name.

    Its one parameter, if it has one, is the event's data.
    """
    return _mark("event", fn, name)


class UpdateMethod[S, **P, R]:
    """A method that answers updates: `validator` decorates what may refuse one."""

    def __init__(self, fn: Callable[..., Any], name: str | None) -> None:
        """Made by `update`."""
        self.fn = fn
        self.name = name
        self.check: Callable[..., Any] | None = None

    def validator[F: Callable[..., object]](self, fn: F) -> F:
        """Decorate a method of the same parameters that raises to refuse an update."""
        self.check = fn
        return fn

    @overload
    def __get__(self, instance: None, owner: type[S]) -> UpdateMethod[S, P, R]: ...
    @overload
    def __get__(self, instance: S, owner: type[S]) -> Callable[P, R]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        """Be a method like any other."""
        method: Any = self.fn
        of_class: Any = self
        return of_class if instance is None else method.__get__(instance, owner)


class _UpdateDecorator(Protocol):
    """What `update(name=...)` returns."""

    def __call__[S, **P, R](
        self, fn: Callable[Concatenate[S, P], R], /
    ) -> UpdateMethod[S, P, R]: ...


@overload
def update[S, **P, R](fn: Callable[Concatenate[S, P], R], /) -> UpdateMethod[S, P, R]: ...
@overload
def update(fn: None = None, /, *, name: str) -> _UpdateDecorator: ...
def update(fn: Any = None, /, *, name: str | None = None) -> Any:
    """Answer updates by a method of an orchestration's class, see `OrchestrationContext.update`."""

    def add(fn: Callable[..., Any]) -> UpdateMethod[Any, ..., Any]:
        return UpdateMethod(fn, name)

    return add if fn is None else add(fn)


# ------------------------------------------------------------------------- running it


def run_of(cls: type[Any], locals_: Mapping[str, Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Make the function that runs an orchestration's class.

    Raises:
        DefinitionError: it has no `async def run(self, ctx, ...)`, or cannot be made without
            arguments.
    """
    plain = cls.__dict__.get("run") or getattr(cls, "run", None)
    if not inspect.iscoroutinefunction(plain):
        msg = f"orchestration {cls.__name__!r} needs a method `async def run(self, ctx, ...)`"
        raise DefinitionError(msg)
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        msg = (
            f"orchestration {cls.__name__!r} is made without arguments, but its __init__ takes "
            f"some: {error}; let `run` take them"
        )
        raise DefinitionError(msg) from None
    answers = list(_answers(cls))

    @functools.wraps(plain)
    async def run(ctx: OrchestrationContext, **arguments: Any) -> Any:
        made = cls()
        for answer in answers:
            _register(ctx, made, answer, locals_)
        return await made.run(ctx, **arguments)

    signature = inspect.signature(plain)
    of_class: Any = run
    of_class.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
    of_class.__doc__ = cls.__doc__
    return run


type _Answer = tuple[str, str, Any]
"""Kind, name and method."""


def _answers(cls: type[Any]) -> Iterator[_Answer]:
    """Find what a class answers to, in the order of the methods' names."""
    for attribute in dir(cls):
        member = inspect.getattr_static(cls, attribute)
        mark = getattr(member, _MARK, None)
        if isinstance(member, UpdateMethod):
            mark = _Mark("update", member.name)
        if not isinstance(mark, _Mark):
            continue
        name = mark.name if mark.name is not None else attribute
        if fault := fault_of(name, NAME_BYTES_MAX):
            msg = f"{mark.kind} name {short(name)} cannot be: it {fault}"
            raise DefinitionError(msg)
        yield mark.kind, name, member


def _register(
    ctx: OrchestrationContext, made: object, answer: _Answer, locals_: Mapping[str, Any]
) -> None:
    requests, (kind, name, member) = ctx.engine.requests, answer
    if kind == "query":
        requests.add_query(member.__get__(made), name, locals_)
    elif kind == "update":
        handler = requests.add_update(member.fn.__get__(made), name, locals_)
        handler.validate = None if member.check is None else member.check.__get__(made)
    else:
        handler = Handler("event", member.__get__(made), name, locals_)
        if len(handler.signature.names) > 1:
            msg = f"event {name!r}: its method takes the event's data and nothing else"
            raise DefinitionError(msg)
        coroutine = _listen(ctx, handler)
        ctx.engine.loop.start_at(f"e.{name}", coroutine, requests.context())


async def _listen(ctx: OrchestrationContext, handler: Handler) -> None:
    """Call the method for each event; whatever it raises fails the run."""
    takes = handler.signature.names
    as_type = handler.signature.hints().get(takes[0], Any) if takes else Any
    try:
        while True:
            data = await ctx.wait_event(handler.name, as_type)
            result: Any = handler.fn(data) if takes else handler.fn()
            if inspect.isawaitable(result):
                await result
    except Exception as error:  # noqa: BLE001  it is the run's outcome
        foreign = explain_foreign(ctx.instance_id, error)
        if foreign is not None:
            ctx.engine.block(foreign)
        else:
            ctx.engine.abort(failure_from(error))
