"""Version `v1alpha1` of the group `perdure.dev`: the kinds, and how kubectl lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from perdure_operator.api.base import (
    API_VERSION,
    GROUP,
    VERSION,
    ApiModel,
    Condition,
    Metadata,
    parse_duration,
)
from perdure_operator.api.orchestration import OrchestrationResource, OrchestrationStatus
from perdure_operator.api.pools import (
    ExecutorPoolResource,
    ExecutorPoolStatus,
    ReplayPoolResource,
    ReplayPoolStatus,
)

__all__ = [
    "API_VERSION",
    "EXECUTOR_POOL",
    "GROUP",
    "KINDS",
    "ORCHESTRATION",
    "REPLAY_POOL",
    "VERSION",
    "ApiModel",
    "Column",
    "Condition",
    "ExecutorPoolResource",
    "ExecutorPoolStatus",
    "Kind",
    "KindName",
    "Metadata",
    "OrchestrationResource",
    "OrchestrationStatus",
    "ReplayPoolResource",
    "ReplayPoolStatus",
    "parse_duration",
]

type KindName = Literal["Orchestration", "ExecutorPool", "ReplayPool"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; those with a priority are shown with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its model, its names, and what the API server does with it besides storing."""

    name: KindName
    plural: str
    short: str
    model: type[ApiModel]
    columns: Sequence[Column]
    selectable: Sequence[str] = ()
    scales: bool = False

    @property
    def singular(self) -> str:
        """Name as one types it."""
        return self.name.lower()

    @property
    def crd(self) -> str:
        """Name of the definition."""
        return f"{self.plural}.{GROUP}"

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Path of an object, a collection or a subresource on the API server."""
        parts = ["/apis", GROUP, VERSION, "namespaces", namespace, self.plural, name, subresource]
        return "/".join(part for part in parts if part)


_AGE = Column("Age", ".metadata.creationTimestamp", "date")


def _condition(name: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{name}")].{field}'


ORCHESTRATION = Kind(
    "Orchestration",
    "orchestrations",
    "orch",
    OrchestrationResource,
    (
        Column("Orchestration", ".spec.run.orchestration"),
        Column("Phase", ".status.phase"),
        Column("Reason", ".status.reason"),
        _AGE,
        Column("Waiting", ".status.waitingOn", wide=True),
        Column("Key", ".spec.run.key", wide=True),
        Column("Version", ".status.resolvedVersion", wide=True),
        Column("Custom", ".status.customStatus.value", wide=True),
        Column("Instance", ".status.instanceId", wide=True),
        Column("Started", ".status.startedAt", "date", wide=True),
        Column("Ended", ".status.completedAt", "date", wide=True),
    ),
    selectable=(".status.phase", ".spec.run.orchestration"),
)

_POOL_COLUMNS = (
    Column("Replicas", ".spec.replicas", "integer"),
    Column("Ready", ".status.readyReplicas", "integer"),
)
_POOL_TAIL = (
    Column("Available", _condition("Available")),
    Column("Reason", _condition("Ready", "reason")),
    _AGE,
    Column("Message", ".status.message", wide=True),
)

EXECUTOR_POOL = Kind(
    "ExecutorPool",
    "executorpools",
    "xpool",
    ExecutorPoolResource,
    (
        *_POOL_COLUMNS,
        Column("Busy", ".status.busySlots", "integer"),
        *_POOL_TAIL,
        Column("Tags", ".spec.tags", wide=True),
        Column("Backlog", ".status.backlog.ready", "integer", wide=True),
    ),
    scales=True,
)

REPLAY_POOL = Kind(
    "ReplayPool",
    "replaypools",
    "rpool",
    ReplayPoolResource,
    (*_POOL_COLUMNS, *_POOL_TAIL, Column("Build", ".status.build", wide=True)),
    scales=True,
)

KINDS = (ORCHESTRATION, EXECUTOR_POOL, REPLAY_POOL)
