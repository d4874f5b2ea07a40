"""From what a run is like to the status that says so.

A `Situation` is what there is to tell, in the operator's own terms; `plan_status` writes it as the
fields and conditions that people and machines read, compares with what is there, and asks for a
write only where they differ.

How the three conditions that deployment tools read follow:

===============================================  =======  ===========  =======
situation                                        Ready    Reconciling  Stalled
===============================================  =======  ===========  =======
completed; cancelled or terminated as wanted     True     False        False
ended in any other way                           False    False        True
not accepted, and it may still become so         False    True         False
not accepted for good                            False    False        True
suspended                                        False    False        False
blocked for a short while                        False    True         False
blocked for longer, or parked by the engine      False    False        True
under way, `readyWhen: Accepted`                 True     False        False
under way                                        False    True         False
===============================================  =======  ===========  =======
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.work import EnqueueOutcome
from perdure_operator.api.orchestration import (
    CustomStatus,
    FailureStatus,
    OrchestrationStatus,
    Phase,
    ResultStatus,
    RunRecord,
)
from perdure_operator.observed import InputText
from perdure_operator.plan.blocks import Obstacle, find_block
from perdure_operator.plan.conditions import Facet, find, instant, merge, shorten
from perdure_operator.plan.identity import is_named
from perdure_operator.plan.reasons import Reason
from perdure_operator.plan.steps import Note, Plan, Urgency

if TYPE_CHECKING:
    from perdure_operator.api.v1alpha1 import OrchestrationResource
    from perdure_operator.observed import ObservedOrchestration

__all__ = ["TERMINAL_PHASES", "Situation", "plan_status", "recorded", "shown"]

TERMINAL_PHASES = frozenset({"Completed", "Failed", "Cancelled", "Terminated", "TimedOut"})

_RUNS_MAX = 5
_RESULT_BYTES_MAX = 2048
_CUSTOM_MAX = 1024
_FAILURE_MAX = 1024
_MESSAGE_MAX = 2048
_WAITING_MAX = 253
_YOUNG = timedelta(seconds=2)
"""A run is given this long to find a replayer before anybody is told that there is none."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What there is to tell of a run."""

    phase: Phase
    reason: str = ""
    message: str = ""
    is_wanted: bool = False
    """It ended as the spec asked."""
    is_accepted: bool | None = True
    may_be_accepted_later: bool = False
    obstacle: Obstacle | None = None
    instance: InstanceInfo | None = None
    kept: OrchestrationStatus | None = None
    """Facts to go on showing where the instance was not read."""
    is_earlier: bool = False
    """It is the run of an earlier key."""
    again: timedelta | None = None

    @staticmethod
    def of_instance(
        seen: ObservedOrchestration, instance: InstanceInfo, now: datetime
    ) -> Situation:
        """Tell of an instance."""
        desired = seen.resource.spec.desired_state
        by_spec = desired == "Suspended"
        match instance.status:
            case InstanceStatus.PENDING | InstanceStatus.RUNNING:
                return _under_way(seen, instance, now)
            case InstanceStatus.BLOCKED if not by_spec:
                block = instance.block
                reason = block.reason if block else "Blocked"
                message = block.message if block else "parked by the engine"
                return Situation(
                    "Running",
                    reason,
                    message,
                    obstacle=Obstacle(reason, message, is_final=True),
                    instance=instance,
                )
            case InstanceStatus.SUSPENDED | InstanceStatus.BLOCKED:
                reason = Reason.SUSPENDED_BY_SPEC if by_spec else Reason.SUSPENDED_BY_API
                return Situation("Suspended", reason, instance=instance)
            case _:
                return _ended(desired, instance)

    def blocked_by(self, reason: str, message: str) -> Situation:
        """Have something in the way."""
        return replace(self, reason=reason, message=message, obstacle=Obstacle(reason, message))

    def refused(self, reason: str, message: str, *, again: bool = False) -> Situation:
        """Not be accepted: for good, or until something changes."""
        return replace(
            self,
            reason=reason,
            message=message,
            is_accepted=False,
            may_be_accepted_later=again,
        )

    def waiting(self, message: str) -> Situation:
        """Be the earlier run that a new one waits for."""
        return replace(
            self, reason=Reason.WAITING_FOR_EARLIER_RUN, message=message, is_earlier=True
        )

    def ended(self, phase: Phase, reason: str, message: str) -> Situation:
        """Be over, for a reason that the engine does not know."""
        return replace(self, phase=phase, reason=reason, message=message, obstacle=None)


def recorded(resource: OrchestrationResource) -> bool:
    """Tell whether the status says that the run of the spec was started."""
    status = resource.status
    return status.run_key == resource.spec.run.key and status.instance_id is not None


def shown(status: OrchestrationStatus) -> Situation:
    """Tell what the status tells already."""
    phase = status.phase or "Pending"
    ready = find(status.conditions, "Ready")
    return Situation(
        phase,
        status.reason or "",
        status.message or "",
        is_wanted=ready is not None and ready.status == "True",
        kept=status,
    )


def _under_way(seen: ObservedOrchestration, instance: InstanceInfo, now: datetime) -> Situation:
    is_pending = instance.status is InstanceStatus.PENDING
    situation = Situation(
        "Cancelling" if instance.cancel_requested else "Starting" if is_pending else "Running",
        Reason.CANCELLING
        if instance.cancel_requested
        else Reason.STARTING
        if is_pending
        else Reason.RUNNING,
        instance=instance,
    )
    if now - instance.created_at < _YOUNG:
        return replace(situation, again=_YOUNG)
    if seen.fleet is None:
        obstacle = _known_obstacle(seen.resource.status)
    else:
        obstacle = find_block(instance, seen.activities, seen.fleet, now)
    if obstacle is None:
        return situation
    return replace(situation, reason=obstacle.reason, message=obstacle.message, obstacle=obstacle)


def _known_obstacle(status: OrchestrationStatus) -> Obstacle | None:
    """Keep saying who is missing until somebody has counted again."""
    blocked = find(status.conditions, "Blocked")
    if blocked is None or blocked.reason not in {Reason.NO_REPLAYER, Reason.NO_EXECUTOR}:
        return None
    return Obstacle(blocked.reason, blocked.message, waiting_on=status.waiting_on)


def _ended(desired: str, instance: InstanceInfo) -> Situation:
    failure = instance.failure
    message = failure.message if failure else ""
    match instance.status:
        case InstanceStatus.COMPLETED:
            return Situation("Completed", Reason.COMPLETED, is_wanted=True, instance=instance)
        case InstanceStatus.CANCELLED:
            wanted = desired in {"Cancelled", "Terminated"}
            reason = Reason.CANCELLED if wanted else Reason.CANCELLED_BY_API
            return Situation("Cancelled", reason, message, is_wanted=wanted, instance=instance)
        case InstanceStatus.TERMINATED:
            wanted = desired == "Terminated"
            reason = Reason.TERMINATED if wanted else Reason.TERMINATED_BY_API
            return Situation("Terminated", reason, message, is_wanted=wanted, instance=instance)
        case InstanceStatus.TIMED_OUT:
            return Situation("TimedOut", Reason.TIMED_OUT, message, instance=instance)
        case _:
            return Situation("Failed", Reason.FAILED, message, instance=instance)


def plan_status(
    seen: ObservedOrchestration,
    situation: Situation,
    now: datetime,
    blocked_max: timedelta,
    *,
    again: timedelta | None = None,
) -> Plan:
    """Write the situation as a status, if that says anything new."""
    old = seen.resource.status
    left = _time_left(situation, old, now, blocked_max)
    new = _status(seen, situation, now, is_stalled=left is not None and left <= timedelta(0))
    waits = [wait for wait in (again, situation.again, left) if wait and wait > timedelta(0)]
    soonest = min(waits, default=None)
    if new == old:
        return Plan(again=soonest)
    return Plan(status=new, urgency=_urgency(old, new), notes=_notes(old, new), again=soonest)


def _time_left(
    situation: Situation, old: OrchestrationStatus, now: datetime, blocked_max: timedelta
) -> timedelta | None:
    """Time until what is in the way makes the run a stalled one; None where nothing is."""
    if situation.obstacle is None:
        return None
    if situation.obstacle.is_final:
        return timedelta(0)
    blocked = find(old.conditions, "Blocked")
    if blocked is None or blocked.status != "True":
        return blocked_max
    return datetime.fromisoformat(blocked.last_transition_time) + blocked_max - now


def _status(
    seen: ObservedOrchestration, situation: Situation, now: datetime, *, is_stalled: bool
) -> OrchestrationStatus:
    resource = seen.resource
    old = resource.status
    key = old.run_key if situation.is_earlier else resource.spec.run.key
    facts = _facts(seen, situation)
    facets = _facets(
        situation,
        is_started=facts.get("instance_id") is not None,
        is_ready_early=resource.spec.ready_when == "Accepted",
        is_stalled=is_stalled,
    )
    waiting_on = situation.obstacle.waiting_on if situation.obstacle else None
    return OrchestrationStatus.model_validate(
        facts
        | {
            "observed_generation": resource.metadata.generation,
            "phase": situation.phase,
            "reason": situation.reason or None,
            "message": shorten(situation.message, _MESSAGE_MAX) or None,
            "run_key": key,
            "waiting_on": shorten(waiting_on, _WAITING_MAX) if waiting_on else None,
            "runs": old.runs if key == old.run_key else _runs(seen),
            "conditions": merge(
                facets, old.conditions, generation=resource.metadata.generation, now=now
            ),
        }
    )


def _facts(seen: ObservedOrchestration, situation: Situation) -> dict[str, object]:
    """What is known of the instance, apart from how it is doing."""
    instance = situation.instance
    if instance is None:
        if situation.kept is None:
            return {}
        names = (
            *("instance_id", "execution_id", "resolved_version", "input_digest", "started_at"),
            *("completed_at", "custom_status", "result", "failure"),
        )
        return {name: getattr(situation.kept, name) for name in names}
    finished = instance.finished_at
    return {
        "instance_id": instance.instance,
        "execution_id": instance.execution,
        "resolved_version": instance.version,
        "input_digest": _input_digest(seen, situation),
        "started_at": instant(instance.created_at),
        "completed_at": instant(finished) if finished else None,
        "custom_status": _custom(instance),
        "result": _result(instance),
        "failure": _failure(instance),
    }


def _input_digest(seen: ObservedOrchestration, situation: Situation) -> str | None:
    old = seen.resource.status
    if situation.is_earlier or (recorded(seen.resource) and old.input_digest):
        return old.input_digest
    if is_named(seen.resource) and seen.start is not EnqueueOutcome.ACCEPTED:
        return None  # somebody else started it, with an input of theirs
    return _digest(seen.input.text) if isinstance(seen.input, InputText) else None


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _custom(instance: InstanceInfo) -> CustomStatus | None:
    text = instance.custom_status
    if text is None:
        return None
    return CustomStatus(
        value=shorten(text, _CUSTOM_MAX),
        truncated=len(text) > _CUSTOM_MAX,
        version=instance.custom_status_version,
    )


def _result(instance: InstanceInfo) -> ResultStatus | None:
    text = instance.output
    if text is None or instance.status is not InstanceStatus.COMPLETED:
        return None
    size = len(text.encode())
    inline = json.loads(text) if size <= _RESULT_BYTES_MAX else None
    return ResultStatus(inline=inline, bytes=size, digest=_digest(text))


def _failure(instance: InstanceInfo) -> FailureStatus | None:
    failure = instance.failure
    if failure is None:
        return None
    return FailureStatus(
        category=failure.category.value.capitalize(),
        type=shorten(failure.type, 253),
        message=shorten(failure.message, _FAILURE_MAX),
        retryable=failure.retryable,
    )


def _runs(seen: ObservedOrchestration) -> tuple[RunRecord, ...]:
    """Push the run that the status speaks of onto those that are over."""
    old = seen.resource.status
    if old.run_key is None or (old.instance_id is None and old.phase not in TERMINAL_PHASES):
        return old.runs
    earlier = seen.earlier
    finished = earlier.finished_at if earlier else None
    last = RunRecord(
        key=old.run_key,
        phase=earlier.status.value if earlier else old.phase or "Pending",
        instance_id=old.instance_id or "",
        started_at=old.started_at,
        completed_at=instant(finished) if finished else old.completed_at,
    )
    return (last, *old.runs)[:_RUNS_MAX]


def _facets(
    situation: Situation, *, is_started: bool, is_ready_early: bool, is_stalled: bool
) -> tuple[Facet, ...]:
    reason = situation.reason or Reason.ACCEPTED
    message = situation.message
    phase = situation.phase
    is_over = phase in TERMINAL_PHASES
    obstacle = situation.obstacle
    accepted = Reason.ACCEPTED if situation.is_accepted else reason
    started = Reason.STARTED if is_started else Reason.NOT_STARTED
    is_suspended = phase == "Suspended"
    ready, reconciling, stalled = _triple(
        situation, is_ready_early=is_ready_early, is_stalled=is_stalled
    )
    return (
        Facet(
            "Accepted", situation.is_accepted, accepted, "" if situation.is_accepted else message
        ),
        Facet("Started", is_started, started),
        Facet("Completed", phase == "Completed", reason, message if is_over else ""),
        Facet("Suspended", is_suspended, reason if is_suspended else Reason.NOT_SUSPENDED),
        Facet(
            "Blocked",
            obstacle is not None,
            obstacle.reason if obstacle else Reason.NOT_BLOCKED,
            obstacle.message if obstacle else "",
        ),
        Facet("Ready", ready, reason, message),
        Facet("Reconciling", reconciling, reason if reconciling else Reason.SETTLED),
        Facet(
            "Stalled",
            stalled,
            reason if stalled else Reason.NOT_STALLED,
            message if stalled else "",
        ),
    )


def _triple(
    situation: Situation, *, is_ready_early: bool, is_stalled: bool
) -> tuple[bool, bool, bool]:
    """Ready, Reconciling, Stalled: the table at the top."""
    if situation.phase in TERMINAL_PHASES:
        return situation.is_wanted, False, not situation.is_wanted
    if not situation.is_accepted:
        later = situation.may_be_accepted_later
        return False, later, not later
    if situation.phase == "Suspended" and not situation.is_earlier:
        return False, False, False
    if situation.obstacle is not None:
        return False, not is_stalled, is_stalled
    if is_ready_early and situation.phase == "Running" and not situation.is_earlier:
        return True, False, False
    return False, True, False


def _urgency(old: OrchestrationStatus, new: OrchestrationStatus) -> Urgency:
    if new.phase in TERMINAL_PHASES and old.phase != new.phase:
        return Urgency.TERMINAL
    slow = {"custom_status": None, "waiting_on": None, "execution_id": None}
    if old.model_copy(update=slow) == new.model_copy(update=slow):
        return Urgency.PROGRESS
    return Urgency.TRANSITION


_WARNINGS = frozenset({"Failed", "TimedOut"})


def _notes(old: OrchestrationStatus, new: OrchestrationStatus) -> tuple[Note, ...]:
    """Events: that it started, that something is in the way, how it ended. Nothing more."""
    notes: list[Note] = []
    fresh = new.run_key != old.run_key
    if new.instance_id and (fresh or old.instance_id is None):
        notes.append(Note(Reason.STARTED, f"run {new.run_key!r} is instance {new.instance_id}"))
    for type_, bad in (("Blocked", "True"), ("Accepted", "False")):
        before, after = find(old.conditions, type_), find(new.conditions, type_)
        if after is None or after.status != bad:
            continue
        if before is None or (before.status, before.reason) != (after.status, after.reason):
            notes.append(Note(after.reason, after.message, is_warning=True))
    if new.phase in TERMINAL_PHASES and (fresh or old.phase != new.phase):
        message = new.message or f"run {new.run_key!r} ended as {new.phase}"
        is_warning = new.phase in _WARNINGS
        notes.append(Note(new.reason or new.phase, message, is_warning=is_warning))
    return tuple(notes)
