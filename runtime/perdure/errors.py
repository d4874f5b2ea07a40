"""Every error that Perdure raises, sorted by who must act.

::

    PerdureError
    ├── AuthorError                the author of an orchestration or activity
    │   ├── NondeterminismError    code and history disagree; names both sides
    │   ├── ForbiddenCallError     something an orchestration may not do; names the remedy
    │   ├── SpinningTurnError      a turn that does not come to rest
    │   ├── HistoryLimitError      an execution with too many records; continue as new
    │   ├── NotRegisteredError     no definition of that name and version here
    │   ├── DefinitionError        a definition that cannot be registered
    │   └── PayloadError           a value that cannot be encoded, decoded, or is too large
    ├── CallerError                whoever called the client
    │   ├── InstanceNotFoundError
    │   ├── InstanceExistsError
    │   ├── InstanceFinishedError
    │   ├── InstanceUnfinishedError
    │   ├── InboxFullError
    │   └── ResultTimeoutError
    ├── OutcomeError               an orchestration or activity ended other than Completed
    │   ├── ActivityError
    │   ├── OrchestrationError
    │   │   ├── OrchestrationCancelledError
    │   │   ├── OrchestrationTerminatedError
    │   │   └── OrchestrationTimedOutError
    │   ├── QueryError
    │   ├── UpdateError
    │   └── ApplicationError       what user code raises to say more than a message
    ├── ConfigurationError         whoever runs the system
    └── ProviderError              nobody yet: retry when `retryable`
        └── LeaseLostError         somebody else holds the work now

A message names the thing, what was found, what was expected, and what to do.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.model.failure import Failure

__all__ = [
    "ActivityError",
    "ApplicationError",
    "AuthorError",
    "CallerError",
    "ConfigurationError",
    "DefinitionError",
    "ForbiddenCallError",
    "HistoryLimitError",
    "InboxFullError",
    "InstanceExistsError",
    "InstanceFinishedError",
    "InstanceNotFoundError",
    "InstanceUnfinishedError",
    "LeaseLostError",
    "NondeterminismError",
    "NotRegisteredError",
    "OrchestrationCancelledError",
    "OrchestrationError",
    "OrchestrationTerminatedError",
    "OrchestrationTimedOutError",
    "OutcomeError",
    "PayloadError",
    "PerdureError",
    "ProviderError",
    "QueryError",
    "ResultTimeoutError",
    "SpinningTurnError",
    "UpdateError",
]


class PerdureError(Exception):
    """Root of all errors of Perdure; never raised itself."""


class AuthorError(PerdureError):
    """The code of an orchestration or activity must change."""


class NondeterminismError(AuthorError):
    """Code and history disagree: the turn cannot be replayed as it was decided.

    The message names the operation, its source line now and then, and both sides.
    """


class ForbiddenCallError(AuthorError):
    """An orchestration did what only an activity may do; the message names the remedy."""


class SpinningTurnError(AuthorError):
    """A turn does not rest: its tasks wake one another without awaiting anything durable."""


class HistoryLimitError(AuthorError):
    """An execution has more records than it may; `continue_as_new` starts with fresh history."""


class NotRegisteredError(AuthorError):
    """No definition of that name and version is registered in this process."""


class DefinitionError(AuthorError):
    """A definition cannot be registered: its name, version or signature is at fault."""


class PayloadError(AuthorError):
    """A value cannot be encoded to JSON, decoded into its type, or exceeds its size limit."""


class CallerError(PerdureError):
    """The caller of the client asked for something that cannot be."""


class InstanceNotFoundError(CallerError):
    """No instance has that id."""


class InstanceExistsError(CallerError):
    """An instance with that id exists already."""


class InstanceFinishedError(CallerError):
    """The instance has ended; it takes no more messages."""


class InstanceUnfinishedError(CallerError):
    """The instance, or something beneath it, has not ended."""


class InboxFullError(CallerError):
    """The instance has too many unread messages; nothing was accepted."""


class ResultTimeoutError(CallerError, TimeoutError):
    """The instance was still running when the time to wait was over; it goes on running."""


class OutcomeError(PerdureError):
    """Something ended other than Completed; `failure` says how.

    `details` is what an `ApplicationError` was given, as plain JSON values; else None.
    """

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        """Keep the failure beside the message."""
        super().__init__(message)
        self.failure = failure
        text = None if failure is None else failure.details
        self.details: object = None if text is None else json.loads(text)


class ActivityError(OutcomeError):
    """An activity failed for good: its retry policy, if it has one, is exhausted."""


class OrchestrationError(OutcomeError):
    """An orchestration ended as Failed."""


class OrchestrationCancelledError(OrchestrationError):
    """An orchestration ended as Cancelled."""


class OrchestrationTerminatedError(OrchestrationError):
    """An orchestration was terminated: ended from outside, without running its code."""


class OrchestrationTimedOutError(OrchestrationError):
    """An orchestration ran past its deadline."""


class QueryError(OutcomeError):
    """A query was not answered: no such handler, or the handler raised."""


class UpdateError(OutcomeError):
    """An update was refused by its validator, failed in its handler, or has no handler."""


class ApplicationError(OutcomeError):
    """What user code raises to say more than a message.

    `details` is any JSON value and reaches whoever awaits the result;
    `retryable=False` ends the retries of an activity at once.
    """

    def __init__(
        self,
        message: str,
        *,
        details: object = None,
        retryable: bool = True,
        type: str | None = None,  # noqa: A002  the field's word for it, and keyword-only
    ) -> None:
        """Keep details, and the name that `Failure.type` will carry."""
        super().__init__(message)
        self.details = details
        self.retryable = retryable
        self.type = type


class ConfigurationError(PerdureError):
    """Whoever runs the system must change a setting; the message names it."""


class ProviderError(PerdureError):
    """Storage could not do what was asked.

    `retryable` is true where the same call may succeed later (connection lost,
    server restarting, deadlock); what was asked for has then either happened
    or not, and asking again with the same token finds out which.
    """

    def __init__(self, operation: str, message: str, *, retryable: bool) -> None:
        """Name the verb of the provider that failed."""
        super().__init__(f"{operation}: {message}")
        self.operation = operation
        self.retryable = retryable


class LeaseLostError(ProviderError):
    """The lease ended or somebody else holds it; the work's result is refused."""

    def __init__(self, operation: str, message: str) -> None:
        """Lost leases do not come back."""
        super().__init__(operation, message, retryable=False)
