"""In scope: that the examples' manifests say what the kinds take and the code expects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).resolve().parents[2]
_EXAMPLES = _ROOT / "examples"
_MANIFESTS = sorted(_EXAMPLES.glob("*/*.yaml"))


@dataclass(frozen=True, slots=True)
class _Object:
    """One object of one manifest."""

    file: str
    content: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.file}:{self.content['kind']}/{self.content['metadata']['name']}"


_OBJECTS = [
    _Object(path.name, content)
    for path in _MANIFESTS
    for content in yaml.safe_load_all(path.read_text())
]
_OURS = [one for one in _OBJECTS if one.content["apiVersion"].startswith("perdure.dev/")]


@pytest.mark.parametrize(
    ("manifest", "code"),
    [("hello/hello.yaml", "hello/hello.py"), ("checkout/checkout.yaml", "checkout/checkout.py")],
)
def test_the_code_in_a_manifest_is_the_file_beside_it(manifest: str, code: str) -> None:
    carried = next(
        one["data"]
        for one in yaml.safe_load_all((_EXAMPLES / manifest).read_text())
        if one["kind"] == "ConfigMap"
    )
    path = _EXAMPLES / code
    assert carried == {path.name: path.read_text()}, f"copy {code} into {manifest}, indented"


@pytest.mark.parametrize("one", _OURS, ids=str)
def test_no_field_is_there_that_the_kind_does_not_know(one: _Object) -> None:
    plural = f"{one.content['kind'].lower()}s"
    definition = yaml.safe_load((_ROOT / "crds" / f"{plural}.yaml").read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    assert not list(_strangers(one.content["spec"], spec, "spec"))


def _strangers(value: object, schema: dict[str, Any], path: str) -> list[str]:
    """Paths of what the schema has no word for, and of what it requires and is not there."""
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return []
    if isinstance(value, list):
        return [
            found
            for index, item in enumerate(value)
            for found in _strangers(item, schema["items"], f"{path}[{index}]")
        ]
    if not isinstance(value, dict) or "additionalProperties" in schema:
        return []
    fields = schema["properties"]
    missing = [f"{path}.{name}" for name in schema.get("required", ()) if name not in value]
    unknown = [f"{path}.{name}" for name in value if name not in fields]
    inside = [
        found
        for name, item in value.items()
        if name in fields
        for found in _strangers(item, fields[name], f"{path}.{name}")
    ]
    return missing + unknown + inside


def test_an_input_is_what_its_orchestration_takes(examples: dict[str, Any]) -> None:
    seen = 0
    for one in _OURS:
        if one.content["kind"] != "Orchestration":
            continue
        run = one.content["spec"]["run"]
        definition = examples[run["orchestration"]]
        definition.decode_arguments(json.dumps(run["input"]))
        seen += 1
    assert seen == 4
