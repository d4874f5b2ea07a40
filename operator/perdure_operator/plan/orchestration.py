"""Decide about one Orchestration.

The run that counts is the one that `spec.run.key` names, with one exception: while the run of an
earlier key is still going, it is the one that is shown and steered, and the new one waits.

=====================================  =========================================================
what is seen                           what is done
=====================================  =========================================================
being deleted                          `plan.deletion`
ended, and the status says so          nothing, and nothing is read either
an earlier run goes on                 by `replacePolicy`: wait, cancel or terminate it
no instance, none was recorded         finalizer, then start; or say why it cannot be
an instance of another's making        take it over (`Attach`) or refuse (`Reject`)
no instance, though one was recorded   it was lost; never started again under this key
an instance                            steer it to `desiredState`, then show it
the database does not answer           show that, keep the rest, try again
=====================================  =========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from perdure.providers.work import EnqueueOutcome
from perdure_operator.observed import InputFault, InputMissing, InputText
from perdure_operator.plan.deletion import FINALIZER, plan_deletion
from perdure_operator.plan.identity import instance_of, is_named
from perdure_operator.plan.reasons import Reason
from perdure_operator.plan.situation import TERMINAL_PHASES, Situation, plan_status, recorded, shown
from perdure_operator.plan.steering import cancelling, start_message, steering, terminating
from perdure_operator.plan.steps import AddFinalizer, Plan, Start

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.providers.reading import InstanceInfo
    from perdure_operator.api.v1alpha1 import OrchestrationResource
    from perdure_operator.observed import ObservedOrchestration
    from perdure_operator.plan.steps import Step

__all__ = ["Rules", "has_live_record", "is_settled", "plan_orchestration"]

_INPUT_AGAIN = timedelta(seconds=5)
_QUIET = frozenset({"Starting", "Running"})
_SOON = timedelta(seconds=1)
_ATTACHED_AGAIN = timedelta(seconds=10)
_DATABASE_PATIENCE = timedelta(seconds=5)
"""The database is given this long to come back before every object says that it is away."""
_DATABASE_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the installation decides."""

    blocked: timedelta = timedelta(minutes=2)
    """A run that is blocked for longer counts as stalled."""


def is_settled(resource: OrchestrationResource) -> bool:
    """Tell whether all is done and said, so that not even the database need be asked."""
    status = resource.status
    return (
        resource.metadata.deletion_timestamp is None
        and status.observed_generation == resource.metadata.generation
        and status.run_key == resource.spec.run.key
        and status.phase in TERMINAL_PHASES
    )


def has_live_record(resource: OrchestrationResource) -> bool:
    """Tell whether the status speaks of a run of another key that had not ended."""
    status = resource.status
    return (
        status.run_key not in {None, resource.spec.run.key}
        and status.instance_id is not None
        and status.phase not in TERMINAL_PHASES
    )


def plan_orchestration(seen: ObservedOrchestration, now: datetime, rules: Rules) -> Plan:
    """Decide what to do; the same answer for the same arguments."""
    resource = seen.resource
    if resource.metadata.deletion_timestamp is not None:
        return plan_deletion(seen, now)
    if is_settled(resource):
        return Plan()
    if seen.database is not None:
        return _without_database(seen, now, rules)
    if has_live_record(resource) and seen.earlier and not seen.earlier.status.is_terminal:
        return _with_earlier_run(seen, seen.earlier, now, rules)
    if seen.instance is None or not (recorded(resource) or _may_take(seen)):
        return _not_started(seen, now, rules)
    return _with_instance(seen, seen.instance, now, rules)


def _without_database(seen: ObservedOrchestration, now: datetime, rules: Rules) -> Plan:
    down = seen.database
    if down is None or now - down.since < _DATABASE_PATIENCE:
        return Plan(again=_DATABASE_PATIENCE)
    message = f"the database does not answer: {down.message}"
    situation = shown(seen.resource.status) if recorded(seen.resource) else Situation("Pending")
    situation = situation.blocked_by(Reason.DATABASE_UNREACHABLE, message)
    return plan_status(seen, situation, now, rules.blocked, again=_DATABASE_AGAIN)


def _with_earlier_run(
    seen: ObservedOrchestration, earlier: InstanceInfo, now: datetime, rules: Rules
) -> Plan:
    spec = seen.resource.spec
    steps: tuple[Step, ...]
    match spec.replace_policy:
        case "Wait":
            steps = ()
        case "Cancel":
            steps = cancelling(seen.resource, earlier, f"run {spec.run.key} replaces it")
        case "Terminate":
            steps = terminating(earlier, f"run {spec.run.key} replaces it")
    if steps:
        return Plan(steps=steps)
    situation = Situation.of_instance(seen, earlier, now).waiting(
        f"run {spec.run.key!r} starts when run {seen.resource.status.run_key!r} has ended"
    )
    return plan_status(seen, situation, now, rules.blocked)


def _may_take(seen: ObservedOrchestration) -> bool:
    """Tell whether an instance that is there, but not in the status, is this object's to show."""
    if not is_named(seen.resource) or seen.start is EnqueueOutcome.ACCEPTED:
        return True
    return (seen.resource.spec.id_policy or "Attach") == "Attach"


def _not_started(  # noqa: PLR0911  a table of cases
    seen: ObservedOrchestration, now: datetime, rules: Rules
) -> Plan:
    resource = seen.resource
    spec = resource.spec
    if recorded(resource) and resource.status.phase in TERMINAL_PHASES:
        return plan_status(seen, shown(resource.status), now, rules.blocked)
    if recorded(resource) and seen.instance is None:
        return plan_status(seen, _lost(resource), now, rules.blocked)
    if seen.start is not None and seen.start is not EnqueueOutcome.ACCEPTED:
        return plan_status(seen, _taken(resource), now, rules.blocked)
    match spec.desired_state:
        case "Cancelled":
            situation = Situation("Cancelled", Reason.CANCELLED_BEFORE_START, is_wanted=True)
            return plan_status(seen, situation, now, rules.blocked)
        case "Terminated":
            situation = Situation("Terminated", Reason.CANCELLED_BEFORE_START, is_wanted=True)
            return plan_status(seen, situation, now, rules.blocked)
        case "Suspended":
            situation = Situation("Suspended", Reason.SUSPENDED_BY_SPEC, "not started yet")
            return plan_status(seen, situation, now, rules.blocked)
        case "Running":
            return _start(seen, now, rules)
        case _ as unreachable:
            assert_never(unreachable)


def _start(seen: ObservedOrchestration, now: datetime, rules: Rules) -> Plan:
    resource = seen.resource
    match seen.input:
        case InputMissing(message):
            situation = Situation("Pending").refused(Reason.INPUT_NOT_FOUND, message, again=True)
            return plan_status(seen, situation, now, rules.blocked, again=_INPUT_AGAIN)
        case InputFault(message):
            situation = Situation("Pending").refused(Reason.INPUT_INVALID, message)
            again = _INPUT_AGAIN if resource.spec.run.input_from else None
            return plan_status(seen, situation, now, rules.blocked, again=again)
        case InputText(text):
            guard: tuple[Step, ...] = (AddFinalizer(),) if _needs_finalizer(resource) else ()
            return Plan(steps=(*guard, Start(start_message(resource, text))))
        case None:
            return Plan(again=_INPUT_AGAIN)
        case _ as unreachable:
            assert_never(unreachable)


def _lost(resource: OrchestrationResource) -> Situation:
    message = (
        f"the database has no instance {resource.status.instance_id!r} any more, though it was "
        "started: it was deleted, or this is another database. It is not started again by itself; "
        "change spec.run.key to run again"
    )
    return shown(resource.status).ended("Failed", Reason.INSTANCE_LOST, message)


def _taken(resource: OrchestrationResource) -> Situation:
    message = (
        f"an instance {instance_of(resource, resource.spec.run.key)!r} exists already and "
        "spec.idPolicy is Reject: set it to Attach to take that instance over, or name another"
    )
    return Situation("Pending").refused(Reason.INSTANCE_EXISTS, message)


def _with_instance(
    seen: ObservedOrchestration, instance: InstanceInfo, now: datetime, rules: Rules
) -> Plan:
    resource = seen.resource
    steps = steering(resource, instance)
    if _needs_finalizer(resource) and not instance.status.is_terminal:
        steps = (AddFinalizer(), *steps)
    if steps:
        return Plan(steps=steps)
    # What others started tells nobody of its changes: ask now and then.
    again = _ATTACHED_AGAIN if is_named(resource) and not instance.status.is_terminal else None
    situation = Situation.of_instance(seen, instance, now)
    age = now - instance.created_at
    if not recorded(resource) and situation.phase in _QUIET and timedelta(0) <= age < _SOON:
        # It may end before anybody could have read that it began: one write less.
        return Plan(again=_SOON - age)
    return plan_status(seen, situation, now, rules.blocked, again=again)


def _needs_finalizer(resource: OrchestrationResource) -> bool:
    is_there = FINALIZER in resource.metadata.finalizers
    return resource.spec.deletion_policy != "Orphan" and not is_there
