"""What must hold in storage after every write, whoever did whatever before.

Checked on the tables themselves, so that a verb cannot hide what it did wrong:

* an instance that has something to read, or has not begun, can be woken: it is due, leased or
  parked;
* each outcome is recorded once: no operation is answered twice in one execution;
* nothing is added to what has ended;
* a history begins at 1 and ends at its length (a message that a continue-as-new takes along
  leaves its number behind);
* whoever has no lease, or one that is over, changes nothing (`Fenced`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perdure.model.records import RecordKind
from perdure.providers.sqlite.rows import micros
from perdure.providers.sqlite.statements import statements

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Invariants", "Violation"]

_ANSWERS = {
    RecordKind.ACTIVITY_COMPLETED, RecordKind.ACTIVITY_FAILED, RecordKind.TIMER_FIRED,
    RecordKind.CHILD_COMPLETED, RecordKind.CHILD_FAILED, RecordKind.KEY_READ,
}  # fmt: skip

_SQL = statements("invariants", "perdure.testing.simulation")
_FINGERPRINT = ("live_row", "count_records", "wanted_activities", "count_timers", "status")


class Violation(AssertionError):  # noqa: N818  the word for it
    """Something that must hold does not."""


class Invariants:
    """Looks at a store after each write; what it has seen it does not look at again."""

    def __init__(self, connection: Any, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._clock = clock
        self._seen = 0
        self._answered: set[tuple[str, int, str]] = set()

    def check(self, verb: str) -> None:
        """Check what this call may have changed.

        Raises:
            Violation: something does not hold; the message names the verb.
        """
        if self._connection.in_transaction:
            return
        run = self._connection.execute
        for instance, reason, message in run(_SQL["blocked"]):
            raise Violation(f"after {verb}: {instance} is blocked: {reason}: {message}")
        for row, instance, execution, kind, ref in run(_SQL["new"], (self._seen,)).fetchall():
            self._seen = row
            if kind not in _ANSWERS:
                continue
            answer = (instance, execution, ref)
            if answer in self._answered:
                name = RecordKind(kind).name
                raise Violation(
                    f"after {verb}: operation {ref} of {instance}, execution {execution}, is "
                    f"answered twice (by {name})"
                )
            self._answered.add(answer)
        for (instance,) in run(_SQL["asleep"], (micros(self._clock()),)):
            raise Violation(f"after {verb}: {instance} has something to read, and nothing wakes it")

    def check_histories(self) -> None:
        """Check the numbers of all histories; for the end of a world."""
        run = self._connection.execute
        for instance, length, count, first, last in run(_SQL["ended"]):
            if not (length == last and first == 1):
                raise Violation(
                    f"{instance} ended with {length} records, and has {count}, from {first} to "
                    f"{last}"
                )
        for instance, following, last in run(_SQL["going_on"]):
            raise Violation(f"{instance} has records up to {last}, and its next one is {following}")

    def fenced(self, verb: str, args: Any) -> list[Fenced]:
        """Note what a call may not change; to be checked after it.

        While a transaction is open the call waits for it, and others may come first: then nothing
        can be said.
        """
        if self._connection.in_transaction:
            return []
        match verb:
            case "commit_turns":
                leases: list[tuple[str, str | None, int]] = [
                    (each.instance, None, each.token) for each in args[0]
                ]
            case "finish_activities":
                leases = [
                    (each.lease.instance, each.lease.operation, each.lease.token)
                    for each in args[0]
                ]
            case _:
                return []
        entitled = {each[0] for each in leases if self._is_held(*each)}
        return [
            Fenced(self, verb, instance)
            for instance in dict.fromkeys(each[0] for each in leases)
            if instance not in entitled
        ]

    def _is_held(self, instance: str, operation: str | None, token: int) -> bool:
        now = micros(self._clock()) - 1_000_000  # time passes between this look and the call
        query = _SQL["held_turn"] if operation is None else _SQL["held_activity"]
        which = (instance, token, now) if operation is None else (instance, operation, token, now)
        return self._connection.execute(query, which).fetchone() is not None

    def fingerprint(self, instance: str) -> object:
        """Return what whoever has no lease must leave as it is."""
        return tuple(
            self._connection.execute(_SQL[name], (instance,)).fetchone() for name in _FINGERPRINT
        )


class Fenced:
    """An instance that a call may not change, for it has no lease of it."""

    def __init__(self, invariants: Invariants, verb: str, instance: str) -> None:
        self._invariants = invariants
        self._verb = verb
        self._instance = instance
        self._before = invariants.fingerprint(instance)

    def check(self) -> None:
        """Check that it is as it was.

        Raises:
            Violation: it is not.
        """
        after = self._invariants.fingerprint(self._instance)
        if after != self._before:
            raise Violation(
                f"{self._verb} without a lease changed {self._instance}: {self._before} to {after}"
            )
