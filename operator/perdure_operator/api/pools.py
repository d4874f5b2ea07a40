"""The kinds `ExecutorPool` and `ReplayPool`: pods that run activities, and pods that run turns."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from perdure_operator.api.base import (
    LIST_TYPE,
    VALIDATIONS,
    ApiModel,
    Conditions,
    Duration,
    Metadata,
    RawObject,
    rule,
)

Tag = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
]
App = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(:[A-Za-z_][A-Za-z0-9_]*)?$",
    ),
]
Raw = Annotated[RawObject, Field()]
RawList = Annotated[
    tuple[RawObject, ...], Field(max_length=64, json_schema_extra={LIST_TYPE: "atomic"})
]

_APP_OR_CODE = rule(
    "has(self.app) != has(self.code)",
    "name the code to run once: spec.app (a module in the image) or spec.code (modules in a"
    " ConfigMap)",
)
_NAME_LENGTH = rule(
    "self.metadata.name.size() <= 52",
    "the name must have at most 52 characters, as names of pods are made from it",
)


class CodeSource(ApiModel):
    """Modules of Python in a ConfigMap: the quick way to run code without building an image."""

    config_map: Annotated[str, Field(min_length=1, max_length=253)]
    """ConfigMap in the same namespace; each key is a file, such as `hello.py`. When it changes, the
    pods are replaced."""
    module: App
    """Module to load, and optionally a name in it, as `MODULE` or `MODULE:NAME`."""


class PodTemplate(ApiModel):
    """What the pods have besides; Kubernetes checks it when the pods are made."""

    labels: dict[str, Annotated[str, Field(max_length=63)]] | None = None
    """More labels on the pods."""
    annotations: dict[str, str] | None = None
    """Annotations on the pods."""
    resources: Raw | None = None
    """Requests and limits of the container."""
    env: RawList | None = None
    """More environment variables of the container."""
    env_from: RawList | None = None
    """More sources of environment variables."""
    volumes: RawList | None = None
    """More volumes."""
    volume_mounts: RawList | None = None
    """Where the container sees them."""
    node_selector: dict[str, str] | None = None
    """Labels that a node must have."""
    tolerations: RawList | None = None
    """Taints that the pods tolerate."""
    affinity: Raw | None = None
    """Rules of affinity."""
    topology_spread_constraints: RawList | None = None
    """How the pods are spread; over zones, softly, if left out."""
    service_account_name: Annotated[str, Field(max_length=253)] | None = None
    """Service account of the pods; no token is mounted all the same."""
    priority_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Priority class of the pods."""
    runtime_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Runtime class of the pods."""
    image_pull_secrets: RawList | None = None
    """Secrets for pulling the image, as `{name: ...}`."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled."""


class DatabaseReference(ApiModel):
    """A Secret in the pool's namespace that holds the address of the database."""

    secret_name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253)] = "uri"
    """Key that holds the address, as `postgresql://...`."""


class Drain(ApiModel):
    """What happens when a pod is asked to stop."""

    timeout: Duration = "30s"
    """How long running activities may go on; then they are cancelled and handed back."""


class Lock(ApiModel):
    """How long a pod holds what it fetched without giving a sign of life."""

    timeout: Duration = "30s"
    """After this long without renewal, an activity is given to another pod."""


class Cancellation(ApiModel):
    """What happens when the result of an activity is no longer wanted."""

    grace: Duration = "10s"
    """How long an activity may take to stop by itself once it was told."""


class Gpu(ApiModel):
    """Graphics processors for each pod: adds the limit, tolerates the taint of the same name."""

    resource_name: Annotated[str, Field(min_length=1, max_length=253)] = "nvidia.com/gpu"
    """Name of the resource."""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many for each pod."""


class ExecutorPoolSpec(ApiModel):
    """What is wanted. Perdure never writes here."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                _APP_OR_CODE,
                rule(
                    "has(self.tags) || self.includeUntagged",
                    "the pool serves nothing: name tags, or set includeUntagged: true",
                ),
                rule(
                    "has(self.tags) == has(oldSelf.tags) && (!has(self.tags)"
                    " || self.tags == oldSelf.tags)",
                    "the tags of a pool cannot change: make a pool with the new tags,"
                    " then delete this one",
                ),
            ]
        }
    )

    tags: (
        Annotated[
            tuple[Tag, ...],
            Field(min_length=1, max_length=32, json_schema_extra={LIST_TYPE: "set"}),
        ]
        | None
    ) = None
    """Tags that the pool serves: the activities that ask for one of them run here."""
    include_untagged: bool = False
    """Whether activities that ask for no tag run here too."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image with Perdure and your code; the release's own executor image if left out."""
    app: App | None = None
    """Module in the image that registers the activities, as `MODULE` or `MODULE:NAME`."""
    code: CodeSource | None = None
    """Modules from a ConfigMap instead of `app`."""
    slots: Annotated[int, Field(ge=1, le=1024)] = 4
    """Activities that a pod runs at the same time."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of pods; `kubectl scale` sets it too."""
    drain: Drain = Field(default_factory=Drain)
    """What happens when a pod is asked to stop."""
    lock: Lock = Field(default_factory=Lock)
    """How long a pod holds what it fetched without a sign of life."""
    cancellation: Cancellation = Field(default_factory=Cancellation)
    """What happens when a result is no longer wanted."""
    gpu: Gpu | None = None
    """Graphics processors for each pod."""
    database: DatabaseReference | None = None
    """Secret with the address of the database; the one that the release names if left out. It must
    be in the pool's namespace."""
    template: PodTemplate = Field(default_factory=PodTemplate)
    """What the pods have besides."""


class Backlog(ApiModel):
    """What waits for the tags of the pool."""

    ready: int = 0
    """Activities that could run now."""
    running: int = 0
    """Activities that run, here or in another pool of the same tags."""
    oldest_seconds: int | None = None
    """How long the oldest ready one has waited."""


class PoolStatus(ApiModel):
    """What is."""

    observed_generation: int = -1
    """The `metadata.generation` that this status speaks of; -1 until it was looked at."""
    replicas: int = 0
    """Pods that exist."""
    ready_replicas: int = 0
    """Pods that are ready."""
    updated_replicas: int = 0
    """Pods that run what is wanted now."""
    selector: Annotated[str, Field(max_length=512)] | None = None
    """Selects the pods, for autoscalers."""
    message: Annotated[str, Field(max_length=2048)] | None = None
    """The state in one sentence."""


class ExecutorPoolStatus(PoolStatus):
    """What is."""

    busy_slots: int = 0
    """Slots that run an activity."""
    slots: int = 0
    """Slots of all pods."""
    observed_tags: Annotated[
        tuple[str, ...], Field(max_length=64, json_schema_extra={LIST_TYPE: "atomic"})
    ] = ()
    """Tags that the pods say they serve."""
    backlog: Backlog | None = None
    """What waits for these tags."""
    conditions: Conditions = ()
    """Available, Progressing, Degraded, and Ready, Reconciling, Stalled."""


class ExecutorPoolResource(ApiModel):
    """Pods that run activities: those that ask for one of the pool's tags."""

    model_config = ConfigDict(json_schema_extra={VALIDATIONS: [_NAME_LENGTH]})

    metadata: Metadata
    spec: ExecutorPoolSpec
    """What is wanted."""
    status: ExecutorPoolStatus = ExecutorPoolStatus()
    """What is."""


class ReplayPoolSpec(ApiModel):
    """What is wanted. Perdure never writes here."""

    model_config = ConfigDict(json_schema_extra={VALIDATIONS: [_APP_OR_CODE]})

    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Image with Perdure and your code; the release's own executor image if left out."""
    app: App | None = None
    """Module in the image that registers the orchestrations, as `MODULE` or `MODULE:NAME`."""
    code: CodeSource | None = None
    """Modules from a ConfigMap instead of `app`."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of pods. All of them take turns; any of them may be lost."""
    drain: Drain = Field(default_factory=Drain)
    """What happens when a pod is asked to stop."""
    lock: Lock = Field(default_factory=Lock)
    """How long a pod holds what it fetched without a sign of life."""
    database: DatabaseReference | None = None
    """Secret with the address of the database; the one that the release names if left out. It must
    be in the pool's namespace."""
    template: PodTemplate = Field(default_factory=PodTemplate)
    """What the pods have besides."""


class ServedCode(ApiModel):
    """An orchestration that the pods can run."""

    name: Annotated[str, Field(max_length=253)]
    """Its name."""
    version: Annotated[str, Field(max_length=64)]
    """Its version."""


class ReplayPoolStatus(PoolStatus):
    """What is."""

    build: Annotated[str, Field(max_length=253)] | None = None
    """Build that the pods run."""
    code: Annotated[
        tuple[ServedCode, ...], Field(max_length=50, json_schema_extra={LIST_TYPE: "atomic"})
    ] = ()
    """Orchestrations that the pods say they can run, the first fifty."""
    conditions: Conditions = ()
    """Available, Progressing, Degraded, and Ready, Reconciling, Stalled."""


class ReplayPoolResource(ApiModel):
    """Pods that run the code of orchestrations, turn by turn, over histories in the database."""

    model_config = ConfigDict(json_schema_extra={VALIDATIONS: [_NAME_LENGTH]})

    metadata: Metadata
    spec: ReplayPoolSpec
    """What is wanted."""
    status: ReplayPoolStatus = ReplayPoolStatus()
    """What is."""
