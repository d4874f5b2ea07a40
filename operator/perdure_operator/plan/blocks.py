"""Why a run that the engine thinks is going on does not go on: nobody is there to do its work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure.model.ids import UNTAGGED
from perdure.providers.reading import InstanceStatus
from perdure_operator.plan.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from perdure.providers.reading import InstanceInfo, OpenActivity
    from perdure_operator.observed import Fleet

__all__ = ["Obstacle", "find_block"]

_NAMES_MAX = 8


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a run from going on."""

    reason: str
    message: str
    waiting_on: str | None = None
    is_final: bool = False
    """It does not go away by itself."""


def find_block(
    instance: InstanceInfo,
    activities: Sequence[OpenActivity],
    fleet: Fleet,
    now: datetime,
) -> Obstacle | None:
    """Find what nobody does for an instance that is under way; None while all is well."""
    if not fleet.can_replay(instance.name, instance.version):
        return _no_replayer(instance, fleet)
    if instance.status is InstanceStatus.PENDING:
        return None
    for activity in activities:
        is_due = not activity.leased and activity.due_at <= now
        if is_due and activity.tag not in fleet.tags:
            return _no_executor(activity, fleet)
        if is_due and (activity.tag, activity.name) not in fleet.kinds:
            return _no_code(activity, fleet)
    return None


def _no_replayer(instance: InstanceInfo, fleet: Fleet) -> Obstacle:
    name, version = instance.name, instance.version
    versions = sorted(code.version for code in fleet.code if code.name == name)
    known = sorted({f"{code.name} {code.version}" for code in fleet.code})
    if not known:
        message = (
            f"no replayer is alive to run orchestration {name!r}: make a ReplayPool with its code, "
            "or look at why the pods of yours are not ready (kubectl get replaypools -A)"
        )
    elif versions:
        message = (
            f"orchestration {name!r} has version {_listed(versions)}, but not {version!r}: add "
            "that version to the code of a ReplayPool"
        )
    else:
        message = (
            f"no replayer has orchestration {name!r}; they have {_listed(known)}: add it to the "
            "code of a ReplayPool, or correct spec.run.orchestration under a new spec.run.key"
        )
    return Obstacle(Reason.NO_REPLAYER, message, f"orchestration {name}: no replayer")


def _no_executor(activity: OpenActivity, fleet: Fleet) -> Obstacle:
    tags = sorted(tag or "untagged" for tag in fleet.tags)
    served = f"served are {_listed(tags)}" if tags else "no executor is alive"
    if activity.tag == UNTAGGED:
        return Obstacle(
            Reason.NO_EXECUTOR,
            f"activity {activity.name!r} has no tag and no executor takes such ({served}): set "
            "includeUntagged on an ExecutorPool",
            "untagged activities: no executor",
        )
    return Obstacle(
        Reason.NO_EXECUTOR,
        f"activity {activity.name!r} waits for tag {activity.tag!r}, which no executor serves "
        f"({served}): make an ExecutorPool with that tag",
        f"tag {activity.tag}: no executor",
    )


def _no_code(activity: OpenActivity, fleet: Fleet) -> Obstacle:
    tag = f"tag {activity.tag!r}" if activity.tag != UNTAGGED else "untagged activities"
    known = sorted(name for tag, name in fleet.kinds if tag == activity.tag)
    return Obstacle(
        Reason.NO_EXECUTOR,
        f"no executor of {tag} has the code of activity {activity.name!r}; they have "
        f"{_listed(known) or 'none'}: add it to the code of an ExecutorPool",
        f"activity {activity.name}: no executor",
    )


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = len(every) - _NAMES_MAX
    return ", ".join(every[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
