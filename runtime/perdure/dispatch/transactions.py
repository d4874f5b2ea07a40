"""Activities whose writes and whose result are one transaction.

The body writes with the connection of a transaction of storage's own database; then, in the same
transaction, the result is recorded and the instance woken. So the body's writes are there if and
only if its result is, and an attempt that is repeated finds nothing of those before it.

One question stays: when the reply to the commit is lost, did it happen? The lease answers. A commit
that happened took the activity away, so handing the activity back finds no lease and does nothing;
one that did not happen left the lease as it was, and the activity is given out again, whole.
Recording the same result once more, as for other activities, would be wrong: it could succeed where
the body's writes are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from perdure.dispatch.context import RunningContext
from perdure.dispatch.verdicts import Decision, Verdict
from perdure.errors import ConfigurationError, ProviderError
from perdure.model.failure import Failure, FailureCategory
from perdure.providers.administration import ActivityTransaction, TransactionProvider
from perdure.providers.work import (
    ActivityEnd,
    ActivityFailed,
    ActivityLease,
    ActivityResult,
    FinishOutcome,
)

__all__ = ["run_in_transaction"]

_LOG = logging.getLogger("perdure.activities")


class _NotRecordedError(Exception):
    """Leaves the transaction without a commit; `decision` says what becomes of the attempt."""

    def __init__(self, decision: Decision) -> None:
        super().__init__()
        self.decision = decision


class _BodyRaisedError(Exception):
    """The body raised `__cause__`: told apart from what storage raises."""


def _refused(message: str) -> Failure:
    return Failure(FailureCategory.CONFIGURATION, "ConfigurationError", message, retryable=False)


async def run_in_transaction(
    transactions: TransactionProvider,
    lease: ActivityLease,
    context: RunningContext,
    body: Callable[[], Coroutine[Any, Any, object]],
    end_of: Callable[[object], ActivityEnd],
) -> Decision:
    """Run a body and record its end in one transaction; raises what the body raised."""
    is_recorded = False
    try:
        async with transactions.transaction(lease) as transaction:
            await _run(transaction, lease, context, body, end_of)
            is_recorded = True
    except _NotRecordedError as error:
        return error.decision
    except _BodyRaisedError as error:
        raise (error.__cause__ or error) from None
    except ConfigurationError as error:
        return ActivityFailed(_refused(str(error)))
    except ProviderError as error:
        if not error.retryable and not is_recorded:
            raise  # such as a result recorded in a transaction that the body has broken
        doubt = "its commit is in doubt" if is_recorded else "storage is away"
        _LOG.warning("a transactional activity is given back: %s (%s)", doubt, error)
        return Verdict.TRY_AGAIN
    return Verdict.FINISHED


async def _run(
    transaction: ActivityTransaction,
    lease: ActivityLease,
    context: RunningContext,
    body: Callable[[], Coroutine[Any, Any, object]],
    end_of: Callable[[object], ActivityEnd],
) -> None:
    context.enter(transaction.connection)
    try:
        result = await body()
    except Exception as error:
        if transaction.was_lost(error):  # that is nothing the body has done, and no attempt of it
            raise ProviderError("transaction", str(error), retryable=True) from error
        raise _BodyRaisedError from error
    finally:
        context.enter(None)
    end = end_of(result)
    if isinstance(end, ActivityFailed):
        raise _NotRecordedError(end)
    if await transaction.finish(ActivityResult(lease, end)) is FinishOutcome.LOST:
        raise _NotRecordedError(Verdict.LOST)
