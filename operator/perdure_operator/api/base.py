"""What all kinds share: how a model is read, conditions, durations, references to code.

A model is the one description of a kind. The operator parses objects with it, and
`perdure_operator.api.schema` turns it into the schema that the API server holds objects to, so the
two cannot part. Docstrings become the text of `kubectl explain`: they speak to manifests' authors.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

GROUP = "perdure.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

VALIDATIONS = "x-kubernetes-validations"
LIST_TYPE = "x-kubernetes-list-type"


class ApiModel(BaseModel):
    """Base of all models: camelCase outside, frozen, unknown fields left to newer releases."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


def rule(expression: str, message: str) -> dict[str, JsonValue]:
    """Write one CEL rule; the message says what to do."""
    return {"rule": expression, "message": message}


Duration = Annotated[
    str,
    Field(
        max_length=32,
        json_schema_extra={
            VALIDATIONS: [
                rule(
                    "duration(self) > duration('0s')",
                    "must be a duration longer than nothing, such as 30s, 5m or 1h30m",
                )
            ]
        },
    ),
]

RawObject = dict[str, JsonValue]
"""An object whose inside belongs to Kubernetes itself and is checked there."""

_UNITS = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|m|s)")


def parse_duration(text: str) -> timedelta:
    """Read `1h30m`, `45s`, `250ms`.

    >>> parse_duration("1h30m").total_seconds()
    5400.0

    Raises:
        ValueError: It is none; the message shows the form.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 5m or 1h30m")
    return sum((float(number) * _UNITS[unit] for number, unit in parts), timedelta(0))


class Condition(ApiModel):
    """One aspect of the current state."""

    type: Annotated[str, Field(max_length=63)]
    """Name of the condition."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: int = -1
    """The `metadata.generation` that this was derived from."""
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """When `status` last changed."""
    reason: Annotated[str, Field(max_length=63)]
    """One CamelCase word, for programs; docs/kubernetes.md lists all."""
    message: Annotated[str, Field(max_length=2048)] = ""
    """One sentence, for people."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={
            LIST_TYPE: "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
]


class Metadata(ApiModel):
    """The part of `metadata` that the operator reads."""

    namespace: str
    name: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
