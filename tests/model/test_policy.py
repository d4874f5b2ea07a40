"""Waits between attempts, and when there is no further one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Retry
from perdure.model.codec import decode, encode
from perdure.model.policy import SPAN_MAX

SECOND = timedelta(seconds=1)


def waits(policy: Retry) -> list[float]:
    found: list[float] = []
    while (wait := policy.wait_after(len(found) + 1)) is not None:
        found.append(wait.total_seconds())
    return found


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Retry.none(), []),
        (Retry(), [1, 2]),
        (Retry.fixed(3 * SECOND, 4), [3, 3, 3]),
        (Retry.fixed(timedelta(hours=2), 3), [7200, 7200]),
        (Retry.linear(2 * SECOND, 5, longest=7 * SECOND), [2, 4, 6, 7]),
        (Retry.exponential(SECOND, 6, factor=3, longest=20 * SECOND), [1, 3, 9, 20, 20]),
        (Retry.exponential(timedelta(0), 3), [0, 0]),
    ],
)
def test_waits(policy: Retry, expected: list[float]) -> None:
    assert waits(policy) == expected


def test_the_total_time_ends_attempts_that_would_begin_too_late() -> None:
    policy = Retry.fixed(2 * SECOND, 100, total=10 * SECOND)
    assert policy.wait_after(1, 7 * SECOND) == 2 * SECOND
    assert policy.wait_after(1, 8 * SECOND) is None


def test_a_thousand_attempts_do_not_overflow() -> None:
    assert Retry(5000).wait_after(4000) == timedelta(minutes=1)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_attempts": 0},
        {"initial": -SECOND},
        {"step": -SECOND},
        {"factor": 0.5},
        {"jitter": 2},
        {"total": timedelta(0)},
        {"initial": timedelta.max},
        {"longest": timedelta.max},
        {"step": timedelta.max},
        {"total": timedelta.max},
        {"factor": float("inf")},
        {"factor": float("nan")},
    ],
)
def test_refuses_what_means_nothing(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"Retry.*{next(iter(fields))}"):
        Retry(**fields)


@given(
    st.builds(
        Retry,
        max_attempts=st.integers(2, 2**31),
        initial=st.timedeltas(timedelta(0), SPAN_MAX),
        factor=st.floats(1, allow_infinity=False),
        longest=st.timedeltas(timedelta(0), SPAN_MAX),
        step=st.timedeltas(timedelta(0), SPAN_MAX),
    ),
    st.integers(1, 2**31),
)
def test_no_wait_is_longer_than_the_longest(policy: Retry, attempts: int) -> None:
    wait = policy.wait_after(attempts)
    assert (wait is None) == (attempts >= policy.max_attempts)
    assert wait is None or timedelta(0) <= wait <= policy.longest


def test_storage_keeps_all_of_it() -> None:
    policy = Retry.linear(SECOND, 4, jitter=0.5, not_on=("KeyError",), total=timedelta(hours=1))
    assert decode(encode(policy, Retry), Retry) == policy
