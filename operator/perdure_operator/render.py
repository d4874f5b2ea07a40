"""From a pool to the Deployment that it is. Pure: the same pool and code give the same manifest.

What every pod gets, whatever its manifest says: no root, no token for the API server, no writable
file but `/tmp`, no capabilities; the address of the database as a file, so that it is in no list of
environment variables; and one number that both the process and the kubelet's patience follow from.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perdure_operator.api.v1alpha1 import (
    API_VERSION,
    ExecutorPoolResource,
    ReplayPoolResource,
    parse_duration,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from perdure_operator.api.pools import CodeSource, DatabaseReference
    from perdure_operator.objects import Object

__all__ = [
    "CODE_HASH",
    "MANAGED_BY",
    "POOL_KIND",
    "POOL_NAME",
    "PodDefaults",
    "code_hash",
    "covers",
    "deployment_name",
    "deployment_path",
    "grace_seconds",
    "render",
    "selector_of",
]

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "perdure-operator"
POOL_KIND = "perdure.dev/pool-kind"
POOL_NAME = "perdure.dev/pool"
CODE_HASH = "perdure.dev/code-hash"

_USER = 65532
_PROBE_PORT = 8080
_EXIT_SECONDS = 10
_CODE_PATH = "/perdure/code"
_DATABASE_PATH = "/perdure/database"
_DATABASE_FILE = "uri"

type Pool = ExecutorPoolResource | ReplayPoolResource


@dataclass(frozen=True, slots=True)
class PodDefaults:
    """What the installation gives to pools that say nothing else."""

    image: str
    image_pull_policy: str
    database_secret: str
    database_secret_key: str
    schema: str
    log_level: str = "INFO"


def deployment_name(pool: Pool) -> str:
    """Name of the Deployment; with the longest name of a pool still one for a pod's label."""
    suffix = "executor" if isinstance(pool, ExecutorPoolResource) else "replayer"
    return f"{pool.metadata.name}-{suffix}"


def deployment_path(pool: Pool) -> str:
    """Where the Deployment is on the API server."""
    namespace = pool.metadata.namespace
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment_name(pool)}"


def selector_of(pool: Pool) -> dict[str, str]:
    """Labels that the pool's pods have and no others."""
    return {POOL_KIND: _kind(pool), POOL_NAME: pool.metadata.name}


def labels_of(pool: Pool) -> Object:
    """Label the Deployment and its pods.

    None of the pool's own labels are passed on: a tool that tracks the pool by a label would take
    its pods for things that nobody declared, and prune them.
    """
    component = "executor" if isinstance(pool, ExecutorPoolResource) else "replayer"
    return {
        "app.kubernetes.io/name": "perdure",
        "app.kubernetes.io/component": component,
        MANAGED_BY: MANAGER,
        **selector_of(pool),
    }


def render(pool: Pool, code: Mapping[str, str] | None, defaults: PodDefaults) -> Object:
    """Write the Deployment of a pool; `code` is the ConfigMap that its pods see, if any."""
    meta = pool.metadata
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": deployment_name(pool),
            "namespace": meta.namespace,
            "labels": labels_of(pool),
            "ownerReferences": [_owner(pool)],
        },
        "spec": {
            "replicas": pool.spec.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300,
            "selector": {"matchLabels": dict(selector_of(pool))},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _pace(pool)},
            "template": _pod(pool, code, defaults),
        },
    }


def _pace(pool: Pool) -> Object:
    """New pods first, but where a pod takes a GPU: there may be no other for the new one."""
    if isinstance(pool, ExecutorPoolResource) and pool.spec.gpu:
        return {"maxUnavailable": 1, "maxSurge": 0}
    return {"maxUnavailable": 0, "maxSurge": "25%"}


def _kind(pool: Pool) -> str:
    return "ExecutorPool" if isinstance(pool, ExecutorPoolResource) else "ReplayPool"


def _owner(pool: Pool) -> Object:
    return {
        "apiVersion": API_VERSION,
        "kind": _kind(pool),
        "name": pool.metadata.name,
        "uid": pool.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pod(pool: Pool, code: Mapping[str, str] | None, defaults: PodDefaults) -> Object:
    template = pool.spec.template
    labels: Object = {**(template.labels or {}), **labels_of(pool)}
    annotations: Object = dict(template.annotations or {})
    if code is not None:
        annotations[CODE_HASH] = code_hash(code)
    metadata: Object = {"labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": _pod_spec(pool, defaults)}


def code_hash(code: Mapping[str, str]) -> str:
    """Digest of the files: a change of it replaces the pods."""
    text = json.dumps(dict(sorted(code.items())), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pod_spec(pool: Pool, defaults: PodDefaults) -> Object:
    template = pool.spec.template
    spread: JsonValue = [dict(rule) for rule in template.topology_spread_constraints or ()]
    if template.topology_spread_constraints is None:
        spread = [_soft_spread(pool)]
    spec: Object = {
        "containers": [_container(pool, defaults)],
        "volumes": [*_volumes(pool, defaults), *_raw(template.volumes)],
        "terminationGracePeriodSeconds": grace_seconds(pool),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "topologySpreadConstraints": spread,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    optional: dict[str, JsonValue] = {
        "nodeSelector": dict(template.node_selector) if template.node_selector else None,
        "tolerations": [*_raw(template.tolerations), *_gpu_tolerations(pool)] or None,
        "affinity": template.affinity,
        "serviceAccountName": template.service_account_name,
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "imagePullSecrets": _raw(template.image_pull_secrets) or None,
    }
    return spec | {key: value for key, value in optional.items() if value is not None}


def _soft_spread(pool: Pool) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": dict(selector_of(pool))},
    }


def grace_seconds(pool: Pool) -> int:
    """How long the kubelet waits: for the drain, for cancelled activities, for the exit."""
    return _drain_seconds(pool) + _cancel_seconds(pool) + _EXIT_SECONDS


def _drain_seconds(pool: Pool) -> int:
    return math.ceil(parse_duration(pool.spec.drain.timeout).total_seconds())


def _cancel_seconds(pool: Pool) -> int:
    if isinstance(pool, ReplayPoolResource):
        return 0
    return math.ceil(parse_duration(pool.spec.cancellation.grace).total_seconds())


def _container(pool: Pool, defaults: PodDefaults) -> Object:
    template = pool.spec.template
    mounts: list[JsonValue] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  an emptyDir of the pod's own
        {"name": "database", "mountPath": _DATABASE_PATH, "readOnly": True},
    ]
    if pool.spec.code is not None:
        mounts.append({"name": "code", "mountPath": _CODE_PATH, "readOnly": True})
    container: Object = {
        "name": "executor" if isinstance(pool, ExecutorPoolResource) else "replayer",
        "image": pool.spec.image or defaults.image,
        "imagePullPolicy": template.image_pull_policy or defaults.image_pull_policy,
        "args": _arguments(pool),
        "env": [*_environment(pool, defaults), *_raw(template.env)],
        "ports": [{"name": "probes", "containerPort": _PROBE_PORT, "protocol": "TCP"}],
        "volumeMounts": [*mounts, *_raw(template.volume_mounts)],
        "resources": _resources(pool),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=3, failures=2),
        "startupProbe": _probe("/livez", period=2, failures=60),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if template.env_from:
        container["envFrom"] = _raw(template.env_from)
    return container


def _probe(path: str, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "probes"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _arguments(pool: Pool) -> list[JsonValue]:
    spec = pool.spec
    app = spec.code.module if spec.code else spec.app or ""
    if not isinstance(pool, ExecutorPoolResource):
        return ["replayer", "--app", app]
    arguments: list[JsonValue] = ["executor", "--app", app]
    if pool.spec.tags:
        arguments += ["--tags", ",".join(sorted(pool.spec.tags))]
    if pool.spec.include_untagged:
        arguments.append("--untagged")
    return [*arguments, "--slots", str(pool.spec.slots)]


def _environment(pool: Pool, defaults: PodDefaults) -> list[JsonValue]:
    lease = math.ceil(parse_duration(pool.spec.lock.timeout).total_seconds())
    values = {
        "PERDURE_DATABASE_URL_FILE": f"{_DATABASE_PATH}/{_DATABASE_FILE}",
        "PERDURE_SCHEMA": defaults.schema,
        "PERDURE_EXECUTOR_NAME": "$(PERDURE_POD_NAMESPACE)/$(PERDURE_POD_NAME)",
        "PERDURE_LEASE_SECONDS": str(lease),
        "PERDURE_DRAIN_SECONDS": str(_drain_seconds(pool)),
        "PERDURE_PROBE_PORT": str(_PROBE_PORT),
        "PERDURE_LOG_LEVEL": defaults.log_level,
        "PERDURE_LOG_FORMAT": "json",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if isinstance(pool, ExecutorPoolResource):
        values["PERDURE_CANCEL_GRACE_SECONDS"] = str(_cancel_seconds(pool))
    if pool.spec.code is not None:
        values["PYTHONPATH"] = f"{_CODE_PATH}:/app"
    return [
        _field_variable("PERDURE_POD_NAMESPACE", "metadata.namespace"),
        _field_variable("PERDURE_POD_NAME", "metadata.name"),
        *(_variable(name, value) for name, value in values.items()),
    ]


def _variable(name: str, value: str) -> Object:
    return {"name": name, "value": value}


def _field_variable(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _resources(pool: Pool) -> JsonValue:
    resources: Object = dict(pool.spec.template.resources or {})
    if "requests" not in resources:
        resources["requests"] = {"cpu": "25m", "memory": "64Mi"}
    if isinstance(pool, ExecutorPoolResource) and (gpu := pool.spec.gpu):
        limits = resources.get("limits")
        resources["limits"] = {
            **(limits if isinstance(limits, dict) else {}),
            gpu.resource_name: str(gpu.count),
        }
    return resources


def _gpu_tolerations(pool: Pool) -> list[JsonValue]:
    if not isinstance(pool, ExecutorPoolResource) or pool.spec.gpu is None:
        return []
    return [{"key": pool.spec.gpu.resource_name, "operator": "Exists", "effect": "NoSchedule"}]


def _volumes(pool: Pool, defaults: PodDefaults) -> list[JsonValue]:
    volumes: list[JsonValue] = [
        {"name": "tmp", "emptyDir": {}},
        _database_volume(pool.spec.database, defaults),
    ]
    if pool.spec.code is not None:
        volumes.append(_code_volume(pool.spec.code))
    return volumes


def _database_volume(reference: DatabaseReference | None, defaults: PodDefaults) -> Object:
    secret = reference.secret_name if reference else defaults.database_secret
    key = reference.key if reference else defaults.database_secret_key
    return {
        "name": "database",
        "secret": {
            "secretName": secret,
            "defaultMode": 0o440,
            "items": [{"key": key, "path": _DATABASE_FILE}],
        },
    }


def _code_volume(code: CodeSource) -> Object:
    return {"name": "code", "configMap": {"name": code.config_map, "defaultMode": 0o444}}


def _raw(items: Sequence[Mapping[str, JsonValue]] | None) -> list[JsonValue]:
    return [dict(item) for item in items or ()]


def covers(actual: JsonValue, wanted: JsonValue) -> bool:
    """Tell whether all that is wanted is there; what the API server added beside it does not count.

    >>> covers({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"c": 2}]})
    True
    """
    match wanted:
        case dict():
            return isinstance(actual, dict) and all(
                key in actual and covers(actual[key], value) for key, value in wanted.items()
            )
        case list():
            return (
                isinstance(actual, list)
                and len(actual) == len(wanted)
                and all(covers(one, other) for one, other in zip(actual, wanted, strict=True))
            )
        case _:
            return actual == wanted
