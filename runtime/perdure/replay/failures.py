"""Exceptions to failures, which can be stored and sent, and back again."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING

from perdure.errors import (
    ActivityError,
    ApplicationError,
    AuthorError,
    ForbiddenCallError,
    OrchestrationCancelledError,
    OrchestrationError,
    OrchestrationTerminatedError,
    OrchestrationTimedOutError,
    OutcomeError,
    PayloadError,
)
from perdure.model.codec import encode
from perdure.model.failure import Failure, FailureCategory

if TYPE_CHECKING:
    from perdure.model.ids import JsonText

__all__ = ["activity_error", "explain_foreign", "failure_from", "orchestration_error"]

TRACEBACK_CHARACTERS_MAX = 16 * 1024
MESSAGE_CHARACTERS_MAX = 16 * 1024
_CAUSES_MAX = 16
_LEAVES_SHOWN_MAX = 8

REACHES_USER_CODE = frozenset(
    {
        FailureCategory.APPLICATION,
        FailureCategory.TIMEOUT,
        FailureCategory.CANCELLED,
        FailureCategory.TERMINATED,
    }
)
"""Categories of an activity's failure that are raised where it is awaited; others end the run."""


def failure_from(error: BaseException) -> Failure:
    """Describe an exception, with its causes and its traceback as text.

    An exception group becomes one failure that lists its members, the members chained as causes.
    """
    described = _describe(error, _CAUSES_MAX)
    return replace(described, traceback=_traceback(error))


def _describe(error: BaseException, depth: int) -> Failure:
    message, kind, retryable, details = _text(error), type(error).__name__, True, None
    category = FailureCategory.APPLICATION
    if isinstance(error, ApplicationError):
        kind = error.type or kind
        retryable = error.retryable
        details = _details(error)
    elif isinstance(error, AuthorError):
        category, retryable = FailureCategory.CONFIGURATION, False
    leaves = _leaves(error)
    if isinstance(error, BaseExceptionGroup):
        shown = "; ".join(f"{type(e).__name__}: {_text(e)}" for e in leaves[:_LEAVES_SHOWN_MAX])
        more = "; …" if len(leaves) > _LEAVES_SHOWN_MAX else ""
        message = f"{message.rpartition(' (')[0]} ({len(leaves)}): {shown}{more}"
        cause = _chain(leaves, depth)
    else:
        cause = _cause(error, depth)
    return Failure(category, kind, message, retryable, details, None, cause)


def _text(error: BaseException) -> str:
    """Read an error's message: its class is user code, and its length anybody's."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  of an error on its way out
        return "(the text of this error cannot be had)"
    if len(text) <= MESSAGE_CHARACTERS_MAX:
        return text
    return f"{text[:MESSAGE_CHARACTERS_MAX]}… [of {len(text):,} characters]"


def _details(error: ApplicationError) -> JsonText | None:
    if error.details is None:
        return None
    try:
        return encode(error.details, what="details of ApplicationError")
    except PayloadError as problem:  # a failure must not be lost for its details
        return encode(str(problem))


def _cause(error: BaseException, depth: int) -> Failure | None:
    if depth <= 0:
        return None
    if isinstance(error, OutcomeError) and error.failure is not None:
        return error.failure
    following = error.__cause__
    if following is None and not error.__suppress_context__:
        following = error.__context__
    return None if following is None else _describe(following, depth - 1)


def _leaves(error: BaseException) -> list[BaseException]:
    """Flatten a group, and groups within it; anything else is its own leaf."""
    members: tuple[BaseException, ...] | None = getattr(error, "exceptions", None)
    if not isinstance(error, BaseExceptionGroup) or members is None:
        return [error]
    return [leaf for member in members for leaf in _leaves(member)]


def _chain(leaves: list[BaseException], depth: int) -> Failure | None:
    """Chain the members of a group: each is the cause of the one before it."""
    chained: Failure | None = None
    for leaf in reversed(leaves[:depth]):
        chained = _append(_describe(leaf, 1), chained)
    return chained


def _append(failure: Failure, last: Failure | None) -> Failure:
    if failure.cause is None:
        return replace(failure, cause=last)
    return replace(failure, cause=_append(failure.cause, last))


def _traceback(error: BaseException) -> str:
    """Format a traceback; of a long one the end counts."""
    text = "".join(traceback.format_exception(error))
    if len(text) <= TRACEBACK_CHARACTERS_MAX:
        return text
    return "…" + text[-TRACEBACK_CHARACTERS_MAX:]


def activity_error(name: str, failure: Failure, what: str = "activity") -> ActivityError:
    """Make what is raised where a failed activity is awaited, or a step called."""
    error = ActivityError(f"{what} {name!r} failed: {_brief(failure)}", failure)
    return _with_traceback(error, failure)


_OF_CATEGORY: dict[FailureCategory, tuple[type[OrchestrationError], str]] = {
    FailureCategory.CANCELLED: (OrchestrationCancelledError, "was cancelled"),
    FailureCategory.TERMINATED: (OrchestrationTerminatedError, "was terminated"),
    FailureCategory.TIMEOUT: (OrchestrationTimedOutError, "timed out"),
}


def orchestration_error(instance: str, failure: Failure) -> OrchestrationError:
    """Make what is raised where an orchestration that did not complete is awaited."""
    kind, verb = _OF_CATEGORY.get(failure.category, (OrchestrationError, "failed"))
    error = kind(f"orchestration {instance!r} {verb}: {_brief(failure)}", failure)
    return _with_traceback(error, failure)


def _brief(failure: Failure) -> str:
    if failure.category in _OF_CATEGORY:
        return failure.message
    return f"{failure.type}: {failure.message}"


def _with_traceback[E: OutcomeError](error: E, failure: Failure) -> E:
    if failure.traceback:
        error.add_note(f"The failure's own traceback:\n{failure.traceback.rstrip()}")
    return error


_FOREIGN = (
    ("attached to a different loop", "it awaited something of another event loop"),
    ("Task got bad yield", "it awaited something that is not of this event loop"),
    ("Cannot run the event loop while another loop is running", "it ran another event loop"),
)


def explain_foreign(instance: str, error: BaseException) -> ForbiddenCallError | None:
    """Recognise asyncio's own complaints about foreign awaitables, and name the remedy."""
    for leaf in _leaves(error):
        if not isinstance(leaf, RuntimeError):
            continue
        text = str(leaf)
        for sign, what in _FOREIGN:
            if sign in text:
                frames = traceback.extract_tb(leaf.__traceback__)
                ours = [f for f in frames if "/asyncio/" not in f.filename]
                place = f" at {ours[-1].filename}:{ours[-1].lineno}" if ours else ""
                msg = (
                    f"instance {instance!r}: an orchestration may only await activities, "
                    f"sub-orchestrations, events, timers and its own tasks; {what}{place}. "
                    "Make it an activity, and await that"
                )
                found = ForbiddenCallError(msg)
                found.__cause__ = leaf
                return found
    return None
