"""How often and how long something may be tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry policy of an activity: attempts, and the waits between them.

    The wait before attempt `n + 1` is `initial * factor ** (n - 1)`, at most `longest`.
    `factor=1` waits evenly. Without a policy an activity that raises has failed;
    an attempt lost with its executor is repeated all the same.
    """

    max_attempts: int = 3
    initial: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=1)
    jitter: float = 0.0
    """Fraction of the wait, 0 to 1, by which it is randomly shortened."""
    not_on: tuple[str, ...] = ()
    """Names of exception types that are never retried."""

    def __post_init__(self) -> None:
        """Refuse a policy that cannot mean anything."""
        if self.max_attempts < 1:
            msg = f"Retry.max_attempts is {self.max_attempts}; it must be at least 1"
            raise ValueError(msg)
        if self.initial < timedelta(0) or self.longest < timedelta(0):
            msg = "Retry.initial and Retry.longest must not be negative"
            raise ValueError(msg)
        if self.factor < 1:
            msg = f"Retry.factor is {self.factor}; it must be at least 1"
            raise ValueError(msg)
        if not 0 <= self.jitter <= 1:
            msg = f"Retry.jitter is {self.jitter}; it must be between 0 and 1"
            raise ValueError(msg)

    def wait_after(self, attempts: int) -> timedelta | None:
        """Wait after `attempts` failed attempts (1 or more); None: no further attempt."""
        if attempts >= self.max_attempts:
            return None
        try:
            return min(self.initial * self.factor ** (attempts - 1), self.longest)
        except OverflowError:
            return self.longest
