"""Messages and commands to an instance; each does no harm when it is sent twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never

from perdure.model.codec import encode_started
from perdure.model.ids import JsonText
from perdure.model.records import RecordKind, StartedBody
from perdure.providers.reading import InstanceStatus
from perdure.providers.work import Control, ControlVerb, Message, NewInstance
from perdure_operator.plan.conditions import find
from perdure_operator.plan.identity import instance_of, token_of
from perdure_operator.plan.reasons import Reason
from perdure_operator.plan.steps import Send, Steer

if TYPE_CHECKING:
    from perdure.providers.reading import InstanceInfo
    from perdure_operator.api.v1alpha1 import OrchestrationResource
    from perdure_operator.plan.steps import Step

__all__ = ["cancelling", "start_message", "steering", "terminating"]

_PARKED = frozenset({InstanceStatus.SUSPENDED, InstanceStatus.BLOCKED})


def start_message(resource: OrchestrationResource, text: JsonText) -> Message:
    """Write the start of the run that the spec declares."""
    run, meta = resource.spec.run, resource.metadata
    return Message(
        instance=instance_of(resource, run.key),
        kind=RecordKind.STARTED,
        body=encode_started(StartedBody(name=run.orchestration, version=run.version, input=text)),
        start=NewInstance(
            name=run.orchestration, version=run.version, tenant=meta.namespace, watched=True
        ),
        token=token_of("start", meta.uid, run.key),
    )


def steering(  # noqa: PLR0911  a table of cases
    resource: OrchestrationResource, instance: InstanceInfo
) -> tuple[Step, ...]:
    """Bring an instance to the desired state; what somebody else did to it is let be."""
    if instance.status.is_terminal:
        return ()
    match resource.spec.desired_state:
        case "Cancelled":
            return cancelling(resource, instance, "spec.desiredState is Cancelled")
        case "Terminated":
            return terminating(instance, "spec.desiredState is Terminated")
        case "Suspended":
            if instance.status in _PARKED:
                return ()
            reason = "spec.desiredState is Suspended"
            return (Steer(Control(instance.instance, ControlVerb.SUSPEND, reason)),)
        case "Running":
            suspended = find(resource.status.conditions, "Suspended")
            by_spec = suspended is not None and suspended.reason == Reason.SUSPENDED_BY_SPEC
            if instance.status in _PARKED and by_spec:
                reason = "spec.desiredState is Running"
                return (Steer(Control(instance.instance, ControlVerb.RESUME, reason)),)
            return ()
        case _ as unreachable:
            assert_never(unreachable)


def cancelling(
    resource: OrchestrationResource, instance: InstanceInfo, reason: str
) -> tuple[Step, ...]:
    """Ask an instance to cancel, unless it was asked."""
    if instance.status.is_terminal or instance.cancel_requested:
        return ()
    message = Message(
        instance=instance.instance,
        kind=RecordKind.CANCEL_REQUESTED,
        body=JsonText(json.dumps(reason)),
        token=token_of("cancel", resource.metadata.uid, instance.instance),
    )
    return (Send(message),)


def terminating(instance: InstanceInfo, reason: str) -> tuple[Step, ...]:
    """End an instance without asking it."""
    if instance.status.is_terminal:
        return ()
    return (Steer(Control(instance.instance, ControlVerb.TERMINATE, reason)),)
