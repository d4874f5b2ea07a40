"""From a model to the definition that the API server takes.

Pydantic writes JSON Schema; the API server takes a *structural* schema, which is less: no
references, no alternatives, no titles, a type for every field or an explicit "anything". The
converter below knows exactly what our models use and refuses the rest, so that a field which the
API server would hold to a weaker rule than the operator does cannot slip in.

============================  =====================================================
in JSON Schema                in the structural schema
============================  =====================================================
`$ref`                        what it refers to, in place
`anyOf: [X, null]`            X (the field is optional; null is never needed)
`{}` (any JSON)               `x-kubernetes-preserve-unknown-fields: true`
an object of any JSON         `type: object` and the same
`title`, `default: null`      nothing
a default that is no scalar   nothing: a default is written into the object for good
============================  =====================================================
"""

from collections.abc import Mapping
from typing import cast

from pydantic import JsonValue

from perdure_operator.api.base import GROUP, VERSION
from perdure_operator.api.v1alpha1 import Column, Kind

type Schema = dict[str, JsonValue]

_ANYTHING = "x-kubernetes-preserve-unknown-fields"
_KEPT = (
    "type",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "required",
    "not",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)


def definition(kind: Kind) -> Schema:
    """Write the CustomResourceDefinition of a kind."""
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _resource_schema(kind)},
        "subresources": _subresources(kind),
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
    }
    if kind.selectable:
        version["selectableFields"] = [{"jsonPath": path} for path in kind.selectable]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": ["perdure"],
            },
            "versions": [version],
        },
    }


def _resource_schema(kind: Kind) -> Schema:
    raw = cast("Schema", kind.model.model_json_schema(by_alias=True))
    definitions = cast("dict[str, Schema]", raw.get("$defs", {}))
    properties = cast("dict[str, Schema]", raw["properties"])
    status = structural(properties["status"], definitions)
    # Without it an object that nobody looked at yet passes for one that is ready.
    status["default"] = {"observedGeneration": -1}
    schema: Schema = {
        "description": _one_line(raw["description"]),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(properties["spec"], definitions),
            "status": status,
        },
    }
    if rules := raw.get("x-kubernetes-validations"):
        schema["x-kubernetes-validations"] = rules
    return schema


def structural(schema: Mapping[str, JsonValue], definitions: Mapping[str, Schema]) -> Schema:
    """Turn one JSON schema into a structural one.

    Raises:
        ValueError: It says something that has no structural form.
    """
    merged = _resolved(schema, definitions)
    result: Schema = {}
    if description := merged.get("description"):
        result["description"] = _one_line(description)
    result.update({key: merged[key] for key in _KEPT if key in merged})
    if "const" in merged:
        result["enum"] = [merged["const"]]
    default = merged.get("default")
    if isinstance(default, str | int | float | bool):
        result["default"] = default
    match merged.get("type"):
        case "object":
            _add_fields(result, merged, definitions)
        case "array":
            result["items"] = structural(cast("Schema", merged["items"]), definitions)
        case None if "enum" not in merged:
            result[_ANYTHING] = True
        case _:
            pass
    return result


def _resolved(schema: Mapping[str, JsonValue], definitions: Mapping[str, Schema]) -> Schema:
    """Put references and optional types in place; what stands nearer wins."""
    merged = dict(schema)
    if "anyOf" in merged:
        choices = cast("list[Schema]", merged.pop("anyOf"))
        types = [choice for choice in choices if choice.get("type") != "null"]
        if len(types) != 1:
            raise ValueError(f"a structural schema has no alternatives, but here are {types}")
        merged = _resolved(types[0], definitions) | merged
    if "$ref" in merged:
        name = str(merged.pop("$ref")).rsplit("/", 1)[1]
        if name == "JsonValue":
            return merged
        merged = _resolved(definitions[name], definitions) | merged
    for unsupported in ("allOf", "oneOf", "prefixItems", "patternProperties"):
        if unsupported in merged:
            raise ValueError(f"a structural schema has no {unsupported}: {merged}")
    return merged


def _add_fields(result: Schema, merged: Schema, definitions: Mapping[str, Schema]) -> None:
    if "properties" in merged:
        fields = cast("dict[str, Schema]", merged["properties"])
        result["properties"] = {
            name: structural(field, definitions) for name, field in fields.items()
        }
        return
    values = merged.get("additionalProperties")
    anything: Schema = {_ANYTHING: True}
    inner = structural(values, definitions) if isinstance(values, dict) else anything
    if _ANYTHING in inner:
        result[_ANYTHING] = True
    else:
        result["additionalProperties"] = inner


def _one_line(text: JsonValue) -> str:
    return " ".join(str(text).split())


def _subresources(kind: Kind) -> Schema:
    if not kind.scales:
        return {"status": {}}
    return {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }


def _column(column: Column) -> Schema:
    written: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.wide:
        written["priority"] = 1
    return written
