"""Questions to a running instance, and requests that change it.

The body of an orchestration says what it answers to, by decorating inner functions. They share its
variables, so they need no state of their own::

    @ctx.query
    def total() -> int: ...                 # reads, and nothing else

    @ctx.update
    async def add(item: str) -> int: ...    # may do all that an orchestration may

    @add.validator
    def check(item: str) -> None: ...       # raises to refuse

A *query* is asked of an execution between its turns. It is part of no history, so it must leave no
trace: what it asks for is refused, and if it wakes a task all the same the execution is `spoiled`
and has to be opened again. An *update* is a message like any other. Its handler runs in a task of
its own, named by its number among the updates of the execution; what it returns or raises is the
answer, which is a recorded decision. Updates that are unanswered when the execution continues as
new go to the next one, and begin anew there; at any other end they are answered by a failure.

Handlers have to be there when an update arrives: decorate them before the first `await`.
"""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from contextvars import Context
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Protocol

from perdure.errors import DefinitionError
from perdure.model.actions import AnswerUpdate
from perdure.model.codec import decode_update, encode
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import NAME_BYTES_MAX, JsonText, fault_of, short
from perdure.model.records import CarriedUpdate
from perdure.replay.current import CURRENT
from perdure.replay.failures import explain_foreign, failure_from
from perdure.replay.loop import ExecutionClosed
from perdure.replay.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perdure.model.records import UpdateBody
    from perdure.replay.context import OrchestrationContext
    from perdure.replay.engine import Engine

__all__ = ["Handler", "QueryDecorator", "Requests", "UpdateDecorator", "UpdateHandler"]

_signatures: dict[tuple[CodeType, str], Signature] = {}
"""By code and name: inner functions are made anew for every execution, signatures are not."""


def _signature(fn: Callable[..., Any], what: str, locals_: Mapping[str, Any]) -> Signature:
    """Find or read a signature, without holding what the function refers to."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    if isinstance(code, CodeType) and (found := _signatures.get((code, what))) is not None:
        return found
    method = inspect.ismethod(fn)
    shown: Any = _without_closure(inspect.unwrap(fn)) if code is not None else fn
    signature = Signature(what, shown, has_context=method, locals_=locals_)
    signature.resolve()
    signature.forget_locals()
    if isinstance(code, CodeType):
        _signatures[code, what] = signature
    return signature


def _without_closure(fn: Any) -> Any:
    """Copy as much of a function as its signature is read from."""
    fn = getattr(fn, "__func__", fn)

    def holder() -> None: ...

    copied: Any = FunctionType(holder.__code__, fn.__globals__, fn.__name__)
    copied.__signature__ = inspect.signature(fn)
    copied.__annotations__ = dict(fn.__annotations__)
    copied.__type_params__ = getattr(fn, "__type_params__", ())
    copied.__module__ = fn.__module__
    return copied


class Handler:
    """What answers to one name."""

    __slots__ = ("fn", "name", "signature", "validate")

    def __init__(
        self, kind: str, fn: Callable[..., Any], name: str | None, locals_: Mapping[str, Any]
    ) -> None:
        """Read the signature.

        Raises:
            DefinitionError: name or signature cannot be.
        """
        self.fn = fn
        self.name = name if name is not None else str(getattr(fn, "__name__", type(fn).__name__))
        if fault := fault_of(self.name, NAME_BYTES_MAX):
            msg = f"{kind} name {short(self.name)} cannot be: it {fault}"
            raise DefinitionError(msg)
        self.signature = _signature(fn, f"{kind} {self.name!r}", locals_)
        self.validate: Callable[..., Any] | None = None

    def encode_result(self, value: object) -> JsonText:
        """Encode what it returned, by its annotation."""
        what = f"the result of {self.signature.owner}"
        return encode(value, self.signature.returns, what=what)


class UpdateHandler[**P, R]:
    """A decorated update handler: `validator` decorates what may refuse the update."""

    __slots__ = ("_handler", "fn")

    def __init__(self, handler: Handler, fn: Callable[P, R]) -> None:
        """Made by `OrchestrationContext.update`."""
        self._handler = handler
        self.fn = fn
        """The plain function."""

    @property
    def name(self) -> str:
        """What the update is called."""
        return self._handler.name

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function."""
        return self.fn(*args, **kwargs)

    def validator[F: Callable[..., object]](self, fn: F) -> F:
        """Decorate a function of the same parameters that raises to refuse an update.

        It runs before the handler; it may read, and ask for nothing.

        Raises:
            DefinitionError: it is `async def`.
        """
        if inspect.iscoroutinefunction(fn):
            msg = f"the validator of update {self.name!r} is `async def`; it may only look"
            raise DefinitionError(msg)
        self._handler.validate = fn
        return fn


class QueryDecorator(Protocol):
    """What `ctx.query(name=...)` returns."""

    def __call__[F: Callable[..., object]](self, fn: F, /) -> F:
        """Answer queries by this function."""
        ...


class UpdateDecorator(Protocol):
    """What `ctx.update(name=...)` returns."""

    def __call__[**P, R](self, fn: Callable[P, R], /) -> UpdateHandler[P, R]:
        """Answer updates by this function."""
        ...


class Requests:
    """What one execution answers to, and what it has not answered yet."""

    __slots__ = ("_engine", "_open", "_queries", "_seen", "_updates", "author")

    def __init__(self, engine: Engine) -> None:
        """Begin with nothing to answer to."""
        self._engine = engine
        self._queries: dict[str, Handler] = {}
        self._updates: dict[str, Handler] = {}
        self._open: dict[str, JsonText] = {}
        self._seen: set[str] = set()
        self.author: OrchestrationContext | None = None
        """What handlers find by `perdure.current()`."""

    @property
    def unfinished(self) -> int:
        """How many updates are unanswered."""
        return len(self._open)

    def context(self) -> Context:
        """Make what a task begins with: nothing but who it belongs to."""
        made = Context()
        made.run(CURRENT.set, self.author)
        return made

    # -------------------------------------------------------------- registering

    def add_query(
        self, fn: Callable[..., Any], name: str | None, locals_: Mapping[str, Any]
    ) -> None:
        """Answer queries of that name by this function.

        Raises:
            DefinitionError: it is `async def`, or its name or signature cannot be.
        """
        handler = Handler("query", fn, name, locals_)
        if inspect.iscoroutinefunction(fn):
            msg = f"query {handler.name!r} is `async def`; a query reads and never waits"
            raise DefinitionError(msg)
        self._queries[handler.name] = handler

    def add_update(
        self, fn: Callable[..., Any], name: str | None, locals_: Mapping[str, Any]
    ) -> Handler:
        """Answer updates of that name by this function.

        Raises:
            DefinitionError: its name or signature cannot be.
        """
        handler = Handler("update", fn, name, locals_)
        self._updates[handler.name] = handler
        return handler

    # ----------------------------------------------------------------- updates

    def hold(self, update: str, body: JsonText) -> bool:
        """Note an update; False if it was noted before."""
        if update in self._seen:
            return False
        self._seen.add(update)
        self._open[update] = body
        return True

    def deliver(self, update: str, body: JsonText) -> None:
        """Start the handler of an update that arrived."""
        if not self.hold(update, body):
            return
        asked = decode_update(body)
        handler = self._updates.get(asked.name)
        if handler is None:
            known = ", ".join(sorted(self._updates)) or "none"
            message = f"there is no update {asked.name!r} here; there are: {known}"
            self._answer(update, failure=_missing("UnknownUpdate", message))
            return
        path = f"u.{len(self._seen) - 1}"
        self._engine.loop.start_at(path, self._serve(update, handler, asked), self.context())

    async def _serve(self, update: str, handler: Handler, asked: UpdateBody) -> None:
        """Run a handler; whatever comes of it is the answer."""
        engine = self._engine
        try:
            arguments = handler.signature.decode(asked.input)
            if handler.validate is not None:
                with engine.reading():
                    handler.validate(**arguments)
            result: Any = handler.fn(**arguments)
            if inspect.isawaitable(result):
                result = await result
            text = handler.encode_result(result)
        except ExecutionClosed:
            raise
        except (Exception, CancelledError) as error:  # noqa: BLE001  it is the answer
            foreign = explain_foreign(engine.instance, error)
            if foreign is not None:
                engine.block(foreign)
            else:
                self._answer(update, failure=failure_from(error))
        else:
            self._answer(update, result=text)

    def _answer(
        self, update: str, result: JsonText | None = None, failure: Failure | None = None
    ) -> None:
        if self._open.pop(update, None) is not None:
            self._engine.record(AnswerUpdate(update, result, failure))

    def carry(self) -> tuple[CarriedUpdate, ...]:
        """Return what is unanswered, oldest first: it goes to the next execution."""
        return tuple(CarriedUpdate(update, body) for update, body in self._open.items())

    def refuse_all(self, outcome: str) -> None:
        """Answer what is unanswered, now that nobody will."""
        for update in list(self._open):
            message = f"the run ended as {outcome} before it answered"
            self._answer(update, failure=_missing("RunEnded", message))

    # ----------------------------------------------------------------- queries

    def ask(self, name: str, input_: JsonText) -> JsonText | Failure:
        """Answer a query from the state as it is."""
        handler = self._queries.get(name)
        if handler is None:
            known = ", ".join(sorted(self._queries)) or "none"
            message = f"there is no query {name!r} here; there are: {known}"
            return _missing("UnknownQuery", message)
        try:
            arguments = handler.signature.decode(input_)
            with self._engine.reading():
                return handler.encode_result(self.context().run(handler.fn, **arguments))
        except (Exception, CancelledError) as error:  # noqa: BLE001  it is the answer
            return failure_from(error)


def _missing(kind: str, message: str) -> Failure:
    return Failure(FailureCategory.APPLICATION, kind, message, retryable=False)
