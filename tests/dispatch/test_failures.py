"""Exceptions become failures, and failures become retries or the end."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from perdure.dispatch.failures import after_failure, describe, names_of, timed_out, where
from perdure.errors import ApplicationError, PayloadError
from perdure.model.failure import FailureCategory
from perdure.model.ids import InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.policy import Retry
from perdure.providers.work import ActivityFailed, ActivityRetried, LeasedActivity

DICE = random.Random(3)
ZERO = timedelta(0)


def leased(retry: Retry | None = None, failures: int = 0) -> LeasedActivity:
    return LeasedActivity(
        instance=InstanceId("i"),
        execution=1,
        operation=OperationId("0:1"),
        token=LeaseToken(1),
        name="charge",
        tag="",
        input=JsonText("{}"),
        retry=retry,
        timeout=None,
        attempt=failures + 1,
        failures=failures,
        queued_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301  to give it a traceback
    except Exception as found:  # noqa: BLE001  any that the test gives
        return found


def test_a_failure_carries_type_message_and_traceback() -> None:
    failure = describe(raised(KeyError("card")))
    assert failure.category is FailureCategory.APPLICATION
    assert failure.type == "KeyError"
    assert failure.message == "'card'"
    assert failure.retryable
    assert failure.traceback is not None
    assert "raise error" in failure.traceback


def test_an_application_error_carries_details_its_own_type_and_whether_to_retry() -> None:
    error = ApplicationError("declined", details={"code": 51}, retryable=False, type="Declined")
    failure = describe(raised(error))
    assert failure.type == "Declined"
    assert failure.details == '{"code":51}'
    assert not failure.retryable


def test_details_that_cannot_be_encoded_do_not_hide_the_failure() -> None:
    failure = describe(raised(ApplicationError("declined", details=object())))
    assert failure.message == "declined"
    assert "could not be encoded" in (failure.details or "")


def test_an_error_that_cannot_be_read_is_a_failure_all_the_same() -> None:
    class Broken(Exception):  # noqa: N818  its name shows in the failure
        def __str__(self) -> str:
            raise ZeroDivisionError

    failure = describe(raised(Broken()))
    assert failure.type == "Broken"
    assert "cannot be had" in failure.message


def test_causes_are_kept_to_a_depth() -> None:
    error: Exception = ValueError("0")
    for depth in range(1, 20):
        outer = ValueError(str(depth))
        outer.__cause__ = error
        error = outer
    failure = describe(error)
    depth = 0
    while failure.cause is not None:
        failure = failure.cause
        depth += 1
    assert depth == 5


def test_a_flood_of_text_keeps_its_ends() -> None:
    failure = describe(raised(ValueError("a" * 50_000 + "the end")))
    assert len(failure.message) < 20_000
    assert failure.message.startswith("aaa")
    assert failure.message.endswith("the end")
    assert "left out" in failure.message


def test_where_names_the_line_but_not_the_text() -> None:
    place = where(raised(ValueError("secret")))
    assert place.startswith("ValueError at ")
    assert "secret" not in place


def test_without_a_policy_one_failure_is_the_end() -> None:
    failure = describe(raised(ValueError("no")))
    assert after_failure(leased(), failure, frozenset(), DICE, ZERO) == ActivityFailed(failure)


def test_a_policy_waits_longer_each_time_and_ends() -> None:
    retry = Retry(max_attempts=3, initial=timedelta(seconds=1), factor=4)
    failure = describe(raised(ValueError("no")))
    ends = [after_failure(leased(retry, n), failure, frozenset(), DICE, ZERO) for n in range(3)]
    assert ends == [
        ActivityRetried(timedelta(seconds=1), failure),
        ActivityRetried(timedelta(seconds=4), failure),
        ActivityFailed(failure),
    ]


def test_jitter_only_shortens() -> None:
    retry = Retry(max_attempts=9, initial=timedelta(seconds=10), jitter=0.5)
    failure = describe(raised(ValueError("no")))
    waits: set[timedelta] = set()
    for _ in range(100):
        end = after_failure(leased(retry), failure, frozenset(), DICE, ZERO)
        assert isinstance(end, ActivityRetried)
        waits.add(end.delay)
    assert timedelta(seconds=5) <= min(waits)
    assert max(waits) <= timedelta(seconds=10)
    assert len(waits) > 50


def test_what_is_named_or_not_retryable_is_not_tried_again() -> None:
    retry = Retry(max_attempts=9, not_on=("LookupError", "Declined"))
    for error in (
        KeyError("a LookupError"),
        ApplicationError("no", type="Declined"),
        ApplicationError("no", retryable=False),
        PayloadError("it will not fit the next time either"),
    ):
        end = after_failure(leased(retry), describe(error), names_of(error), DICE, ZERO)
        assert isinstance(end, ActivityFailed)
    other = ValueError("no")
    assert isinstance(
        after_failure(leased(retry), describe(other), names_of(other), DICE, ZERO), ActivityRetried
    )


def test_a_timeout_is_a_failure_like_any_other() -> None:
    failure = timed_out(leased(), timedelta(seconds=2))
    assert failure.category is FailureCategory.TIMEOUT
    assert failure.message == "attempt 1 of activity charge took longer than 2 s"
    retry = Retry(initial=timedelta(0))
    assert after_failure(leased(retry), failure, frozenset(), DICE, ZERO) == ActivityRetried(
        timedelta(0), failure
    )
