"""What was seen of the world, as frozen values: all that a plan may know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.model.ids import JsonText
    from perdure.providers.reading import InstanceInfo, LiveExecutor, OpenActivity, TagBacklog
    from perdure.providers.work import CodeId, EnqueueOutcome
    from perdure_operator.api.v1alpha1 import (
        ExecutorPoolResource,
        OrchestrationResource,
        ReplayPoolResource,
    )
    from perdure_operator.objects import Object

__all__ = [
    "DatabaseDown",
    "Fleet",
    "InputFault",
    "InputMissing",
    "InputText",
    "ObservedOrchestration",
    "ObservedPool",
    "PodTrouble",
]


@dataclass(frozen=True, slots=True)
class DatabaseDown:
    """The database does not answer, or lacks its schema."""

    since: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who is there to do the work, and what waits."""

    executors: tuple[LiveExecutor, ...] = ()
    backlog: tuple[TagBacklog, ...] = ()
    code: frozenset[CodeId] = frozenset()
    """What replayers could run lately: one that restarts is not missed at once."""
    tags: frozenset[str] = frozenset()
    """What executors served lately."""
    kinds: frozenset[tuple[str, str]] = frozenset()
    """Tag and name of the activities that executors served lately and have the code of."""

    def can_replay(self, name: str, version: str | None) -> bool:
        """Tell whether some replayer has the code."""
        return any(
            code.name == name and (version is None or code.version == version) for code in self.code
        )


@dataclass(frozen=True, slots=True)
class InputText:
    """The input of a run, found."""

    text: JsonText


@dataclass(frozen=True, slots=True)
class InputMissing:
    """What `inputFrom` names is not there (yet)."""

    message: str


@dataclass(frozen=True, slots=True)
class InputFault:
    """The input cannot be used, now or later."""

    message: str


type RunInput = InputText | InputMissing | InputFault


@dataclass(frozen=True, slots=True)
class ObservedOrchestration:
    """One Orchestration, and what the database says of its runs."""

    resource: OrchestrationResource
    input: RunInput | None = None
    """None: not read, as nothing is to be started."""
    instance: InstanceInfo | None = None
    """Of the run that the spec declares."""
    earlier: InstanceInfo | None = None
    """Of the run that the status speaks of, where that is another."""
    start: EnqueueOutcome | None = None
    """What became of the start that this reconciliation has sent."""
    activities: tuple[OpenActivity, ...] = ()
    fleet: Fleet | None = None
    """None: not counted yet."""
    database: DatabaseDown | None = None


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """Why a pod of a pool does not get ready."""

    pod: str
    reason: str
    """Kubernetes' word, such as `CrashLoopBackOff` or `Unschedulable`."""
    message: str


@dataclass(frozen=True, slots=True)
class ObservedPool:
    """One pool, its Deployment and its pods."""

    resource: ExecutorPoolResource | ReplayPoolResource
    code: Mapping[str, str] | None = None
    """Files of the ConfigMap with the code; None: there is none, or the pool needs none."""
    deployment: Object | None = None
    troubles: tuple[PodTrouble, ...] = ()
    fleet: Fleet | None = None
    database: DatabaseDown | None = None
    refused: str | None = None
    """Why the API server refused what was last rendered."""
