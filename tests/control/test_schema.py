"""In scope: the definitions that the API server takes, and that they are what the models are.

Out of scope: what the API server does with them (tests/cluster/test_operator_admission.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from perdure_operator.api.base import parse_duration
from perdure_operator.api.generate import files
from perdure_operator.api.orchestration import OrchestrationStatus
from perdure_operator.api.schema import definition, structural
from perdure_operator.api.v1alpha1 import KINDS, Kind
from perdure_operator.plan.reasons import Reason

_ROOT = Path(__file__).resolve().parents[2]


def schema_of(kind: Kind) -> dict[str, Any]:
    found: Any = definition(kind)
    schema: dict[str, Any] = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += fields(inner, f"{path}.{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(part), dict):
            found += fields(inner, f"{path}[]")
    return found


kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.mark.parametrize("path", files(), ids=str)
def test_what_is_committed_is_what_the_models_give(path: Path) -> None:
    assert (_ROOT / path).read_text() == files()[path], "run `make crds`"


@kinds
def test_it_is_small_enough_for_every_client(kind: Kind) -> None:
    assert len(yaml.safe_dump(definition(kind))) < 128 << 10


@kinds
def test_it_is_structural(kind: Kind) -> None:
    for path, schema in fields(schema_of(kind)):
        anything = schema.get("x-kubernetes-preserve-unknown-fields")
        assert "type" in schema or anything or "enum" in schema, path
        assert not {"anyOf", "oneOf", "allOf", "$ref", "title", "nullable"} & schema.keys(), path


@kinds
def test_every_field_is_described(kind: Kind) -> None:
    for path, schema in fields(schema_of(kind)):
        leaf = path.rsplit(".", 1)[-1]
        if path and "[]" not in path and leaf not in {"apiVersion", "kind", "metadata"}:
            assert schema.get("description"), path
            assert "{{" not in schema["description"], path


@kinds
def test_lists_that_rules_look_at_are_bounded(kind: Kind) -> None:
    for path, schema in fields(schema_of(kind)["properties"]["spec"]):
        if schema.get("type") == "array":
            assert "maxItems" in schema, path


@kinds
def test_only_scalars_have_defaults_but_for_the_status_that_says_unseen(kind: Kind) -> None:
    schema = schema_of(kind)
    assert schema["properties"]["status"].pop("default") == {"observedGeneration": -1}
    for path, inner in fields(schema):
        assert not isinstance(inner.get("default"), dict | list), path


def test_any_json_stays_any_json() -> None:
    run = schema_of(KINDS[0])["properties"]["spec"]["properties"]["run"]
    assert run["properties"]["input"]["x-kubernetes-preserve-unknown-fields"] is True
    assert "type" not in run["properties"]["input"]


def test_what_has_no_structural_form_is_refused() -> None:
    class Either(BaseModel):
        field: int | list[str]

    raw: Any = Either.model_json_schema()
    with pytest.raises(ValueError, match="no alternatives"):
        structural(raw["properties"]["field"], {})


def test_a_status_survives_the_api_server() -> None:
    text = {"result": {"inline": {"a": None, "b": [1, None]}, "bytes": 3, "digest": "d"}}
    status = OrchestrationStatus.model_validate(text)
    dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert OrchestrationStatus.model_validate(dumped) == status
    assert dumped["result"]["inline"] == {"a": None, "b": [1, None]}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1.5h", 5400)],
)
def test_durations_are_read_as_the_api_server_does(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "soon", "5", "5 m", "-5s", "5d"])
def test_and_nothing_else_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="30s, 5m or 1h30m"):
        parse_duration(text)


def test_every_reason_is_explained() -> None:
    page = (_ROOT / "docs/kubernetes.md").read_text()
    documented = set(re.findall(r"`([A-Z]\w+)`", page))
    missing = sorted(reason.value for reason in Reason if reason.value not in documented)
    assert missing == [], "say in docs/kubernetes.md what they mean"
