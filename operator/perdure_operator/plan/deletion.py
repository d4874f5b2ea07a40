"""Decide about an Orchestration that is being deleted.

Deletion waits for us only while our finalizer is there, and that is there only once an instance was
started under a policy other than Orphan. It never waits longer than `deletionGrace` and never for
anything that our own finalizer keeps: not for a Secret, not for a pod, not even for the database.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from perdure.model.ids import InstanceId
from perdure_operator.api.v1alpha1 import parse_duration
from perdure_operator.plan.identity import instance_of
from perdure_operator.plan.reasons import Reason
from perdure_operator.plan.situation import Situation, plan_status
from perdure_operator.plan.steering import cancelling, terminating
from perdure_operator.plan.steps import DeferTermination, Note, Plan, RemoveFinalizer

if TYPE_CHECKING:
    from perdure.providers.reading import InstanceInfo
    from perdure_operator.api.v1alpha1 import OrchestrationResource
    from perdure_operator.observed import ObservedOrchestration
    from perdure_operator.plan.steps import Step

__all__ = ["FINALIZER", "FORCE_ANNOTATION", "plan_deletion"]

FINALIZER = "perdure.dev/instance"
FORCE_ANNOTATION = "perdure.dev/force-finalize"

_WHY = "the Orchestration was deleted"
_RELEASE = Plan(steps=(RemoveFinalizer(),))
_NEVER_STALLED = timedelta(days=3650)


def plan_deletion(seen: ObservedOrchestration, now: datetime) -> Plan:
    """Cancel, wait, terminate, release: by the object's policy."""
    resource = seen.resource
    if FINALIZER not in resource.metadata.finalizers:
        return Plan()
    is_forced = resource.metadata.annotations.get(FORCE_ANNOTATION, "").lower() == "true"
    if is_forced or resource.spec.deletion_policy == "Orphan":
        return _RELEASE
    left = _time_left(resource, now)
    if seen.database is not None:
        return _without_database(resource, left)
    live = [
        instance
        for instance in (seen.instance, seen.earlier)
        if instance is not None and not instance.status.is_terminal
    ]
    if not live:
        return _RELEASE
    if resource.spec.deletion_policy == "Terminate" or left <= timedelta(0):
        return Plan(steps=tuple(step for one in live for step in terminating(one, _WHY)))
    steps = tuple(step for one in live for step in cancelling(resource, one, _WHY))
    return Plan(steps=steps) if steps else _waiting(seen, live[0], now, left)


def _waiting(
    seen: ObservedOrchestration, instance: InstanceInfo, now: datetime, left: timedelta
) -> Plan:
    grace = seen.resource.spec.deletion_grace
    situation = Situation(
        "Cancelling",
        Reason.CANCELLING,
        f"deleted: the run was asked to end and is terminated after {grace}",
        instance=instance,
        is_earlier=instance is seen.earlier,
    )
    return plan_status(seen, situation, now, _NEVER_STALLED, again=left)


def _without_database(resource: OrchestrationResource, left: timedelta) -> Plan:
    if left > timedelta(0):
        return Plan(again=min(left, timedelta(seconds=10)))
    instances = _instances(resource)
    deferred: tuple[Step, ...] = tuple(DeferTermination(instance) for instance in instances)
    message = (
        "the database did not answer while this was deleted; what still runs is terminated when it "
        f"is back: {', '.join(instances)}"
    )
    note = Note(Reason.DATABASE_UNREACHABLE, message, is_warning=True)
    return Plan(steps=(*deferred, RemoveFinalizer()), notes=(note,))


def _instances(resource: OrchestrationResource) -> list[InstanceId]:
    current = instance_of(resource, resource.spec.run.key)
    shown = resource.status.instance_id
    return [current] if shown in {None, current} else [current, InstanceId(str(shown))]


def _time_left(resource: OrchestrationResource, now: datetime) -> timedelta:
    since = datetime.fromisoformat(str(resource.metadata.deletion_timestamp))
    return since + parse_duration(resource.spec.deletion_grace) - now
