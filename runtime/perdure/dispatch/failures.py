"""From an exception to a failure, and from a failure to what is done about it."""

from __future__ import annotations

import random
import traceback
from datetime import timedelta
from types import TracebackType

from perdure.errors import ApplicationError, PayloadError
from perdure.model.codec import encode
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import JsonText
from perdure.providers.work import ActivityFailed, ActivityRetried, LeasedActivity

__all__ = [
    "after_failure",
    "describe",
    "heartbeat_missed",
    "names_of",
    "timed_out",
    "where",
]

_TEXT_MAX = 16_000
_CAUSES_MAX = 5
_OWN = "perdure.dispatch."


def describe(error: BaseException, causes_max: int = _CAUSES_MAX) -> Failure:
    """Put what user code raised into a form that can be stored and sent."""
    retryable = True
    name = type(error).__name__
    details: JsonText | None = None
    if isinstance(error, ApplicationError):
        retryable = error.retryable
        name = error.type or name
        details = _details(error)
    elif isinstance(error, PayloadError):
        retryable = False  # the same value will not fit the next time either
    cause = error.__cause__
    return Failure(
        FailureCategory.APPLICATION,
        name,
        _clip(_text(error)),
        retryable=retryable,
        details=details,
        traceback=_traceback(error),
        cause=describe(cause, causes_max - 1) if cause is not None and causes_max else None,
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  a `__str__` of the user's, in an error on its way out
        return "(the text of this error cannot be had)"


def _details(error: ApplicationError) -> JsonText | None:
    if error.details is None:
        return None
    try:
        return encode(error.details, what="details")
    except PayloadError as problem:
        return encode(f"(the details could not be encoded: {problem})")


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    lines = traceback.format_exception(type(error), error, trace, chain=False)
    return _clip("".join(lines))


def _is_ours(trace: TracebackType) -> bool:
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith(_OWN)


def _clip(text: str) -> str:
    """Keep the ends: a traceback begins with where it was called and ends with what happened."""
    if len(text) <= _TEXT_MAX:
        return text
    half = _TEXT_MAX // 2
    return f"{text[:half]}\n[{len(text) - _TEXT_MAX} characters left out]\n{text[-half:]}"


def where(error: BaseException) -> str:
    """Name the error and its line, without its text, which may hold anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = type(error).__name__
    if trace is None:
        return name
    return f"{name} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def names_of(error: BaseException) -> frozenset[str]:
    """Every name under which `Retry.not_on` may list this error: its own and its bases'."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, ApplicationError) and error.type is not None:
        names.add(error.type)
    return frozenset(names)


def timed_out(leased: LeasedActivity, after: timedelta) -> Failure:
    """Say that an attempt took too long."""
    return Failure(
        FailureCategory.TIMEOUT,
        "TimeoutError",
        f"attempt {leased.attempt} of activity {leased.name} took longer than "
        f"{after.total_seconds():g} s",
    )


def heartbeat_missed(leased: LeasedActivity, limit: timedelta) -> Failure:
    """Say that an attempt did not tell of itself."""
    return Failure(
        FailureCategory.TIMEOUT,
        "HeartbeatTimeout",
        f"attempt {leased.attempt} of activity {leased.name} called ctx.heartbeat() not once in "
        f"{limit.total_seconds():g} s",
    )


def after_failure(
    leased: LeasedActivity,
    failure: Failure,
    names: frozenset[str],
    dice: random.Random,
    spent: timedelta,
) -> ActivityFailed | ActivityRetried:
    """Decide by the activity's retry policy: another attempt after a wait, or the end.

    `spent` is the time since the first attempt began, all waits among it.
    """
    retry = leased.retry
    if retry is None or not failure.retryable or not names.isdisjoint(retry.not_on):
        return ActivityFailed(failure)
    wait = retry.wait_after(leased.failures + 1, spent)
    if wait is None:
        return ActivityFailed(failure)
    return ActivityRetried(wait * (1 - retry.jitter * dice.random()), failure)
