"""How often and how long something may be tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import inf
from typing import Any, Self

SPAN_MAX = timedelta(days=36_500)
"""Longest wait or timeout: a century, which any date can take and storage keeps exactly."""

_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy of an activity: attempts, and the waits between them.

    The wait before attempt `n + 1` is `initial * factor ** (n - 1) + step * (n - 1)`, at most
    `longest`. `Retry.none()`, `fixed()`, `linear()` and `exponential()` name the usual ones.
    Without a policy an activity that raises has failed; an attempt lost with its executor is
    repeated all the same.
    """

    max_attempts: int = 3
    initial: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=1)
    jitter: float = 0.0
    """Fraction of the wait, 0 to 1, by which it is randomly shortened."""
    not_on: tuple[str, ...] = ()
    """Names of exception types that are never retried."""
    total: timedelta | None = None
    """No attempt begins later than this after the first one began; None: whenever."""
    step: timedelta = _ZERO
    """By how much each wait is longer than the one before, beside `factor`."""

    def __post_init__(self) -> None:
        """Refuse a policy that cannot mean anything."""
        try:
            self._check()
        except TypeError:
            _check_types(self)
            raise
        if self.not_on:
            _check_names(self.not_on)

    def _check(self) -> None:
        if self.max_attempts < 1:
            msg = f"Retry.max_attempts is {self.max_attempts}; it must be at least 1"
            raise ValueError(msg)
        if min(self.initial, self.longest, self.step) < _ZERO:
            msg = "Retry.initial, Retry.longest and Retry.step must not be negative"
            raise ValueError(msg)
        if max(self.initial, self.longest, self.step, self.total or _ZERO) > SPAN_MAX:
            msg = (
                "Retry.initial, Retry.longest, Retry.step and Retry.total must be at most "
                f"{SPAN_MAX.days:,} days; for no end, leave Retry.total at None"
            )
            raise ValueError(msg)
        if not 1 <= self.factor < inf:
            msg = f"Retry.factor is {self.factor}; it must be a number of at least 1"
            raise ValueError(msg)
        if not 0 <= self.jitter <= 1:
            msg = f"Retry.jitter is {self.jitter}; it must be between 0 and 1"
            raise ValueError(msg)
        if self.total is not None and self.total <= _ZERO:
            msg = f"Retry.total is {self.total.total_seconds()} s; it must be more than 0"
            raise ValueError(msg)

    @classmethod
    def none(cls) -> Self:
        """One attempt; for a call whose definition asks for more."""
        return cls(1, _ZERO, 1.0)

    @classmethod
    def fixed(
        cls,
        wait: timedelta,
        max_attempts: int = 3,
        *,
        jitter: float = 0.0,
        not_on: tuple[str, ...] = (),
        total: timedelta | None = None,
    ) -> Self:
        """The same wait before every further attempt."""
        return cls(max_attempts, wait, 1.0, wait, jitter, not_on, total)

    @classmethod
    def linear(
        cls,
        step: timedelta,
        max_attempts: int = 3,
        *,
        longest: timedelta = timedelta(minutes=1),
        jitter: float = 0.0,
        not_on: tuple[str, ...] = (),
        total: timedelta | None = None,
    ) -> Self:
        """Waits of once, twice, three times `step`, at most `longest`."""
        return cls(max_attempts, step, 1.0, longest, jitter, not_on, total, step)

    @classmethod
    def exponential(
        cls,
        initial: timedelta = timedelta(seconds=1),
        max_attempts: int = 3,
        *,
        factor: float = 2.0,
        longest: timedelta = timedelta(minutes=1),
        jitter: float = 0.0,
        not_on: tuple[str, ...] = (),
        total: timedelta | None = None,
    ) -> Self:
        """Waits that grow by `factor`, at most `longest`."""
        return cls(max_attempts, initial, factor, longest, jitter, not_on, total)

    def wait_after(self, attempts: int, spent: timedelta = _ZERO) -> timedelta | None:
        """Wait after `attempts` failed attempts (1 or more); None: no further attempt.

        Args:
            attempts: How many have failed.
            spent: Since the first attempt began: judged by `total`.
        """
        if attempts >= self.max_attempts:
            return None
        try:
            wait = self.initial * self.factor ** (attempts - 1) + self.step * (attempts - 1)
        except OverflowError:
            wait = self.longest
        wait = min(wait, self.longest)
        if self.total is not None and spent + wait >= self.total:
            return None
        return wait


def _check_types(retry: Any) -> None:
    """Refuse what would be found out only when an attempt has failed."""
    if not isinstance(retry.max_attempts, int):
        msg = f"Retry.max_attempts is {retry.max_attempts!r}; it must be a whole number"
        raise TypeError(msg)
    spans: dict[str, Any] = {
        "initial": retry.initial,
        "longest": retry.longest,
        "step": retry.step,
        "total": _ZERO if retry.total is None else retry.total,
    }
    for name, span in spans.items():
        if not isinstance(span, timedelta):
            msg = f"Retry.{name} is {span!r}; expected a timedelta, as in timedelta(seconds=5)"
            raise TypeError(msg)
    for name, number in (("factor", retry.factor), ("jitter", retry.jitter)):
        if not isinstance(number, int | float):
            msg = f"Retry.{name} is {number!r}; it must be a number"
            raise TypeError(msg)


def _check_names(not_on: object) -> None:
    """Refuse classes, and a name alone, whose letters would be taken for names."""
    found: Any = not_on
    if isinstance(found, str) or not all(isinstance(each, str) for each in found):
        msg = (
            f"Retry.not_on is {not_on!r}; expected names of exception types in a tuple, as in "
            "('ValueError',)"
        )
        raise TypeError(msg)
