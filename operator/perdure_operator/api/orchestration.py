"""The kind `Orchestration`: one durable instance that a person or a repository asks for."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue

from perdure_operator.api.base import (
    VALIDATIONS,
    ApiModel,
    Conditions,
    Duration,
    Metadata,
    rule,
)

Name = Annotated[str, Field(min_length=1, max_length=253)]
RunKey = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:+-]*[A-Za-z0-9])?$"),
]


class KeyReference(ApiModel):
    """One key of a ConfigMap or Secret in the same namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the ConfigMap or Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
    """Key whose value is read."""


class InputSource(ApiModel):
    """Where the input is read from, once, when the run starts."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                rule(
                    "has(self.configMapKeyRef) != has(self.secretKeyRef)",
                    "name exactly one of configMapKeyRef and secretKeyRef",
                )
            ]
        }
    )

    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap that holds the input as JSON."""
    secret_key_ref: KeyReference | None = None
    """A key of a Secret that holds the input as JSON. The value is then part of the history."""


class RunSpec(ApiModel):
    """What one run is: which orchestration, of which version, with which input.

    A run happens once for each `key`. To run again, with the same input or another, change `key`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                rule(
                    "self.key != oldSelf.key || self == oldSelf",
                    "a run does not change once it is declared: to run again with what you changed,"
                    " change spec.run.key too (to an image tag, a commit, or the next number)",
                )
            ],
            "not": {"required": ["input", "inputFrom"]},
        }
    )

    key: RunKey = "1"
    """Names this run; a new key starts a new run. Often an image tag or a commit."""
    orchestration: Name
    """Name of the orchestration, as its code registers it."""
    version: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Version to run; the latest that a replayer has, if left out."""
    input: JsonValue = None
    """The arguments: an object with one field for each parameter. At most 256 KiB. Not together
    with `inputFrom`."""
    input_from: InputSource | None = None
    """Read the input from a ConfigMap or Secret when the run starts, up to 1 MiB. Later edits there
    change nothing."""


class OrchestrationSpec(ApiModel):
    """What is wanted. Perdure never writes here."""

    model_config = ConfigDict(
        json_schema_extra={
            VALIDATIONS: [
                rule(
                    "has(self.instanceId) == has(oldSelf.instanceId) && (!has(self.instanceId)"
                    " || self.instanceId == oldSelf.instanceId)",
                    "spec.instanceId is the identity and cannot change: make another Orchestration,"
                    " or change spec.run.key to run again",
                ),
                rule(
                    "!(oldSelf.desiredState in ['Cancelled', 'Terminated'])"
                    " || self.run.key != oldSelf.run.key"
                    " || self.desiredState in [oldSelf.desiredState, 'Terminated']",
                    "a run that was cancelled or terminated does not come back: change spec.run.key"
                    " to run again",
                ),
            ]
        }
    )

    run: RunSpec
    """What one run is: which orchestration, of which version, with which input. It happens once for
    each `key`; to run again, with the same input or another, change `key`."""
    instance_id: Annotated[str, Field(min_length=1, max_length=189)] | None = None
    """Durable identity of the instance, independent of this object: applied to an empty cluster,
    the same manifest finds the same instance again. Derived from this object if left out. Runs with
    a key other than "1" add "/KEY" to it."""
    id_policy: Literal["Reject", "Attach"] | None = None
    """What to do when an instance of that id exists already: refuse, or take it over as it is,
    running or finished. Attach if `instanceId` is set, else Reject."""
    desired_state: Literal["Running", "Suspended", "Cancelled", "Terminated"] = "Running"
    """Steers the run. Cancelled asks the code to end; Terminated ends it without asking. Both are
    final for a key."""
    replace_policy: Literal["Wait", "Cancel", "Terminate"] = "Wait"
    """What happens to a run that is still going when `run.key` changes: the new one waits for it,
    or it is cancelled or terminated first."""
    deletion_policy: Literal["Cancel", "Terminate", "Orphan"] = "Cancel"
    """What happens to a run that is still going when this object is deleted. Orphan lets it go
    on."""
    deletion_grace: Duration = "60s"
    """How long a deletion waits for a cancelled run to end before it is terminated."""
    ready_when: Literal["Accepted", "Completed"] = "Completed"
    """When the condition Ready is true: once the run is accepted (for what runs for months), or
    once it has completed (for what others wait for)."""


class ResultStatus(ApiModel):
    """What the run returned: itself if it is small, else how long it is and its digest."""

    inline: JsonValue = None
    """The result, up to 2 KiB of JSON."""
    bytes: int
    """Length of the result as JSON."""
    digest: Annotated[str, Field(max_length=80)]
    """SHA-256 of the result as JSON."""


class FailureStatus(ApiModel):
    """Why the run did not complete."""

    category: Annotated[str, Field(max_length=63)]
    """Who must act: Application, Timeout, Configuration, Infrastructure, Poison, Cancelled or
    Terminated."""
    type: Annotated[str, Field(max_length=253)]
    """Class of the exception, or the engine's name for the reason."""
    message: Annotated[str, Field(max_length=1024)]
    """What it said, shortened to 1 KiB."""
    retryable: bool
    """Whether running again may end otherwise."""


class CustomStatus(ApiModel):
    """What the orchestration says of itself."""

    value: Annotated[str, Field(max_length=1024)]
    """As JSON, shortened to 1 KiB."""
    truncated: bool = False
    """Whether it was shortened."""
    version: int
    """Counts the changes."""


class RunRecord(ApiModel):
    """A run that is over."""

    key: Annotated[str, Field(max_length=63)]
    """Its `run.key`."""
    phase: Annotated[str, Field(max_length=63)]
    """How it ended."""
    instance_id: Annotated[str, Field(max_length=253)] = ""
    """Its instance."""
    started_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it started."""
    completed_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When it ended."""


Phase = Literal[
    "Pending",
    "Starting",
    "Running",
    "Suspended",
    "Cancelling",
    "Completed",
    "Failed",
    "Cancelled",
    "Terminated",
    "TimedOut",
]


class OrchestrationStatus(ApiModel):
    """What is. Bounded in size; the history is in the database."""

    observed_generation: int = -1
    """The `metadata.generation` that this status speaks of; -1 until it was looked at."""
    phase: Phase | None = None
    """The state in one word."""
    reason: Annotated[str, Field(max_length=63)] | None = None
    """Why, in one word."""
    message: Annotated[str, Field(max_length=2048)] | None = None
    """Why, in one sentence."""
    run_key: Annotated[str, Field(max_length=63)] | None = None
    """The `run.key` that this status speaks of."""
    instance_id: Annotated[str, Field(max_length=253)] | None = None
    """The durable instance: what the command line takes."""
    execution_id: int | None = None
    """Counts the executions of the instance: one more with every continue-as-new."""
    resolved_version: Annotated[str, Field(max_length=64)] | None = None
    """Version of the orchestration that runs."""
    input_digest: Annotated[str, Field(max_length=80)] | None = None
    """SHA-256 of the input that the run started with."""
    started_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When the instance started."""
    completed_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    """When the instance ended."""
    waiting_on: Annotated[str, Field(max_length=253)] | None = None
    """What it waits for, for people."""
    custom_status: CustomStatus | None = None
    """What the orchestration says of itself."""
    result: ResultStatus | None = None
    """What it returned."""
    failure: FailureStatus | None = None
    """Why it did not complete."""
    runs: Annotated[
        tuple[RunRecord, ...],
        Field(max_length=5, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """Earlier runs, the latest first."""
    conditions: Conditions = ()
    """Accepted, Started, Completed, Suspended, Blocked, and Ready, Reconciling, Stalled."""


class OrchestrationResource(ApiModel):
    """One durable instance of an orchestration, run by Perdure and remembered in its database."""

    metadata: Metadata
    spec: OrchestrationSpec
    """What is wanted."""
    status: OrchestrationStatus = OrchestrationStatus()
    """What is."""
