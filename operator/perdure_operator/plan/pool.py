"""Decide about one pool: which Deployment it is, and how it is doing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from perdure_operator.api.pools import (
    Backlog,
    ExecutorPoolStatus,
    ReplayPoolStatus,
    ServedCode,
)
from perdure_operator.api.v1alpha1 import ExecutorPoolResource, ReplayPoolResource
from perdure_operator.objects import field_of
from perdure_operator.plan.conditions import Facet, find, merge, shorten
from perdure_operator.plan.reasons import Reason
from perdure_operator.plan.steps import ApplyObject, Note, Plan, Urgency
from perdure_operator.render import (
    PodDefaults,
    covers,
    deployment_name,
    deployment_path,
    render,
    selector_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from perdure.providers.reading import LiveExecutor
    from perdure_operator.observed import ObservedPool, PodTrouble
    from perdure_operator.plan.steps import Status

__all__ = ["plan_pool", "trouble_reason"]

_AGAIN_WHILE_UNREADY = timedelta(seconds=5)
_CODE_MAX = 50
_TAGS_MAX = 64

_TROUBLES = {
    "ErrImagePull": Reason.IMAGE_NOT_PULLED,
    "ImagePullBackOff": Reason.IMAGE_NOT_PULLED,
    "ErrImageNeverPull": Reason.IMAGE_NOT_PULLED,
    "InvalidImageName": Reason.IMAGE_NOT_PULLED,
    "CreateContainerConfigError": Reason.CONFIGURATION_MISSING,
    "FailedMount": Reason.CONFIGURATION_MISSING,
    "Unschedulable": Reason.UNSCHEDULABLE,
    "AppNotLoading": Reason.APP_NOT_LOADING,
    "DatabaseUnreachable": Reason.DATABASE_UNREACHABLE,
}


def plan_pool(seen: ObservedPool, now: datetime, defaults: PodDefaults) -> Plan:
    """Decide what to do; the same answer for the same arguments."""
    pool = seen.resource
    if pool.metadata.deletion_timestamp is not None:
        return Plan()
    if pool.spec.code is not None and seen.code is None:
        return _plan_status(seen, _code_trouble(seen), now)
    wanted = render(pool, seen.code, defaults)
    if seen.refused is not None:
        refused = (Reason.POD_TEMPLATE_REFUSED, seen.refused)
        return _plan_status(seen, refused, now)
    if seen.deployment is None or not covers(seen.deployment, wanted):
        return Plan(steps=(ApplyObject(deployment_path(pool), wanted),))
    return _plan_status(seen, _first_trouble(seen.troubles), now)


def _code_trouble(seen: ObservedPool) -> tuple[Reason, str]:
    name = seen.resource.spec.code.config_map if seen.resource.spec.code else ""
    message = (
        f"there is no ConfigMap {name!r} in namespace {seen.resource.metadata.namespace!r}: "
        "create it with the modules as its keys; the pods follow by themselves"
    )
    return Reason.CODE_NOT_FOUND, message


def trouble_reason(reason: str) -> Reason:
    """Sort what Kubernetes says of a pod into what the user must do."""
    return _TROUBLES.get(reason, Reason.PODS_FAILING)


def _first_trouble(troubles: tuple[PodTrouble, ...]) -> tuple[Reason, str] | None:
    if not troubles:
        return None
    first = troubles[0]
    more = f" (and {len(troubles) - 1} more pods)" if len(troubles) > 1 else ""
    message = f"pod {first.pod}: {first.message or first.reason}{more}"
    return trouble_reason(first.reason), message


def _plan_status(seen: ObservedPool, trouble: tuple[Reason, str] | None, now: datetime) -> Plan:
    pool = seen.resource
    counts = _counts(seen)
    facets, message = _facets(seen, counts, trouble)
    values: dict[str, object] = {
        **counts,
        "observed_generation": pool.metadata.generation,
        "selector": ",".join(f"{key}={value}" for key, value in selector_of(pool).items()),
        "message": shorten(message, 2048) or None,
        "conditions": merge(
            facets, pool.status.conditions, generation=pool.metadata.generation, now=now
        ),
    }
    new: Status
    if isinstance(pool, ExecutorPoolResource):
        new = ExecutorPoolStatus.model_validate(values | _of_executors(pool, seen))
    else:
        new = ReplayPoolStatus.model_validate(values | _of_replayers(pool, seen))
    settled = counts["ready_replicas"] == pool.spec.replicas and trouble is None
    again = None if settled else _AGAIN_WHILE_UNREADY
    if new == pool.status:
        return Plan(again=again)
    return Plan(
        status=new, urgency=_urgency(pool.status, new), notes=_notes(pool.status, new), again=again
    )


def _counts(seen: ObservedPool) -> dict[str, int]:
    names = {
        "replicas": "replicas",
        "ready_replicas": "readyReplicas",
        "updated_replicas": "updatedReplicas",
    }
    return {
        ours: cast("int", field_of(seen.deployment, "status", theirs) or 0)
        for ours, theirs in names.items()
    }


def _is_rolling(seen: ObservedPool, counts: dict[str, int]) -> bool:
    wanted = seen.resource.spec.replicas
    observed = field_of(seen.deployment, "status", "observedGeneration")
    generation = field_of(seen.deployment, "metadata", "generation")
    is_behind = seen.deployment is not None and observed != generation
    return is_behind or counts["updated_replicas"] != wanted or counts["replicas"] != wanted


def _facets(
    seen: ObservedPool, counts: dict[str, int], trouble: tuple[Reason, str] | None
) -> tuple[tuple[Facet, ...], str]:
    """Conditions, and the sentence for people."""
    wanted, ready = seen.resource.spec.replicas, counts["ready_replicas"]
    is_rolling = seen.deployment is not None and _is_rolling(seen, counts)
    is_complete = ready >= wanted and not is_rolling and seen.deployment is not None
    if trouble is not None:
        reason, message = trouble
    elif is_complete:
        reason = Reason.SCALED_TO_ZERO if wanted == 0 else Reason.AVAILABLE
        message = "" if wanted else "no pods are wanted"
    else:
        reason = Reason.ROLLING_OUT
        message = f"{ready} of {wanted} pods are ready"
    is_available = ready > 0 or (wanted == 0 and is_complete)
    available = reason if is_available == is_complete else Reason.UNAVAILABLE
    if is_available:
        available = Reason.SCALED_TO_ZERO if wanted == 0 else Reason.AVAILABLE
    is_ready = is_complete and trouble is None
    is_progressing = not is_complete and trouble is None
    return (
        Facet("Available", is_available, available, "" if is_available else message),
        Facet(
            "Progressing",
            is_progressing,
            Reason.ROLLING_OUT if is_progressing else Reason.ROLLED_OUT if is_ready else reason,
        ),
        Facet(
            "Degraded",
            trouble is not None,
            reason if trouble else Reason.HEALTHY,
            message if trouble else "",
        ),
        Facet("Ready", is_ready, reason, message),
        Facet("Reconciling", is_progressing, reason if is_progressing else Reason.SETTLED),
        Facet(
            "Stalled",
            trouble is not None,
            reason if trouble else Reason.NOT_STALLED,
            message if trouble else "",
        ),
    ), message


def _own_executors(seen: ObservedPool) -> list[LiveExecutor]:
    """Executors that are pods of this pool: they are named after pod and namespace."""
    if seen.fleet is None:
        return []
    meta = seen.resource.metadata
    prefix = f"{meta.namespace}/{deployment_name(seen.resource)}-"
    return [one for one in seen.fleet.executors if one.info.name.startswith(prefix)]


def _of_executors(pool: ExecutorPoolResource, seen: ObservedPool) -> dict[str, object]:
    if seen.fleet is None:
        names = ("busy_slots", "slots", "observed_tags", "backlog")
        return {name: getattr(pool.status, name) for name in names}
    own = _own_executors(seen)
    tags = {tag or "untagged" for one in own for tag in one.info.tags}
    served = {*(pool.spec.tags or ()), *([""] if pool.spec.include_untagged else [])}
    queues = [one for one in seen.fleet.backlog if one.tag in served]
    ages = [one.oldest_age for one in queues if one.oldest_age is not None]
    return {
        "busy_slots": sum(one.info.busy for one in own),
        "slots": sum(one.info.slots for one in own),
        "observed_tags": tuple(sorted(tags)[:_TAGS_MAX]),
        "backlog": Backlog(
            ready=sum(one.ready for one in queues),
            running=sum(one.leased for one in queues),
            oldest_seconds=int(max(ages).total_seconds()) if ages else None,
        ),
    }


def _of_replayers(pool: ReplayPoolResource, seen: ObservedPool) -> dict[str, object]:
    if seen.fleet is None:
        return {name: getattr(pool.status, name) for name in ("build", "code")}
    own = _own_executors(seen)
    code = sorted({(one.name, one.version) for live in own for one in live.info.code})
    builds = sorted({one.info.build for one in own if one.info.build})
    return {
        "build": shorten(", ".join(builds), 253) or None,
        "code": tuple(ServedCode(name=name, version=version) for name, version in code)[:_CODE_MAX],
    }


def _urgency(old: Status, new: Status) -> Urgency:
    same = [(one.type, one.status, one.reason) for one in old.conditions] == [
        (one.type, one.status, one.reason) for one in new.conditions
    ]
    is_seen = old.observed_generation == new.observed_generation
    return Urgency.PROGRESS if same and is_seen else Urgency.TRANSITION


def _notes(old: Status, new: Status) -> tuple[Note, ...]:
    before, after = find(old.conditions, "Degraded"), find(new.conditions, "Degraded")
    if after is None or after.status != "True":
        return ()
    if before and (before.status, before.reason) == (after.status, after.reason):
        return ()
    return (Note(after.reason, after.message, is_warning=True),)
