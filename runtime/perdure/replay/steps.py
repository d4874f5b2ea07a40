"""Small things done at once, within the turn, and recorded with it.

A step is for what is quick and needs no executor, but is not the same on every replay: reading a
setting, the environment, a local clock. It runs when the turn is taken for the first time; its
result, or what it raised, is kept with the turn's decisions and given out from there on every
replay. If the commit of the turn is lost, the step runs again: like an activity at least once.

The result takes the way through JSON even the first time, so that the code never sees more than a
replay can give it. For the same reason what a step raises is always an `ActivityError`.
"""

from __future__ import annotations

import inspect
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from perdure.errors import DefinitionError, NondeterminismError, PayloadError
from perdure.model.actions import RecordStep
from perdure.model.codec import decode, encode
from perdure.replay.current import CURRENT
from perdure.replay.failures import activity_error, failure_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure.model.failure import Failure
    from perdure.model.ids import JsonText
    from perdure.replay.engine import Engine

__all__ = ["run_step"]


def run_step(
    engine: Engine, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a step, or give out what it came to when it ran.

    Raises:
        ActivityError: it raised.
        DefinitionError: it is no synchronous function.
    """
    if not callable(fn):
        msg = f"ctx.step takes a function and its arguments, not {fn!r}"
        raise DefinitionError(msg)
    name = getattr(fn, "__qualname__", type(fn).__name__).rpartition("<locals>.")[2]
    if inspect.iscoroutinefunction(fn):
        msg = f"step {name!r} is `async def`; a step runs at once: make it an activity"
        raise DefinitionError(msg)
    operation, line = engine.next_operation()
    found = engine.recorded(operation)
    if isinstance(found, RecordStep) and found.name == name:
        result, failure = found.result, found.failure
    elif engine.replaying:
        error = NondeterminismError(
            f"instance {engine.instance!r}, operation {operation}: a call was inserted: the code "
            f"asked for step {name!r} at {line}, but history has no such step there. Restore the "
            "code that this instance started with, or register the change as a new version"
        )
        engine.block(error)
        raise error
    else:
        alone = copy_context()
        alone.run(CURRENT.set, None)  # what it does is nobody's turn: clocks and files are its own
        with engine.reading():
            result, failure = alone.run(_run, engine, name, fn, args, kwargs)
    engine.record(RecordStep(operation, name, result, failure, line))
    if failure is not None:
        raise activity_error(name, failure, what="step")
    returns = _returns(fn)
    return decode(result, returns, what=f"the result of step {name!r}")


def _run(
    engine: Engine,
    name: str,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[JsonText | None, Failure | None]:
    try:
        value = fn(*args, **kwargs)
        if inspect.isawaitable(value):
            _close(value)
            msg = f"step {name!r} returned an awaitable; a step runs at once: make it an activity"
            return None, failure_from(DefinitionError(msg))
        text = encode(value, _returns(fn), what=f"the result of step {name!r}")
        limit = engine.limits.payload_bytes
        if len(text.encode()) > limit:
            msg = f"the result of step {name!r} is {len(text.encode()):,} bytes; at most {limit:,}"
            return None, failure_from(PayloadError(msg))
    except Exception as error:  # noqa: BLE001  whatever it is, it is the step's outcome
        return None, failure_from(error)
    return text, None


def _close(value: Any) -> None:
    close = getattr(value, "close", None) or getattr(value, "cancel", None)
    if close is not None:
        close()


def _returns(fn: Callable[..., Any]) -> Any:
    """Return the type that a step is annotated to return; `Any` if that cannot be told."""
    try:
        found = inspect.get_annotations(inspect.unwrap(fn), eval_str=True).get("return", Any)
    except Exception:  # noqa: BLE001  a name for checkers only: then the value's own type decides
        return Any
    return type(None) if found is None else found
