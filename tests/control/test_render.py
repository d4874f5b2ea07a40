"""In scope: the Deployment that a pool is.

Out of scope: what Kubernetes makes of it (tests/cluster).
"""

from __future__ import annotations

from typing import Any

import pytest

from perdure_operator.api.v1alpha1 import ExecutorPoolResource, ReplayPoolResource
from perdure_operator.objects import field_of
from perdure_operator.render import (
    CODE_HASH,
    PodDefaults,
    covers,
    deployment_name,
    grace_seconds,
    render,
)

DEFAULTS = PodDefaults(
    image="perdure/executor:1",
    image_pull_policy="IfNotPresent",
    database_secret="perdure-database",
    database_secret_key="uri",
    schema="perdure",
)
CODE = {"hello.py": "print()"}


def pool(kind: str = "ExecutorPool", **spec: Any) -> ExecutorPoolResource | ReplayPoolResource:
    model = ExecutorPoolResource if kind == "ExecutorPool" else ReplayPoolResource
    meta = {"namespace": "shop", "name": "gpu", "uid": "0f0e", "generation": 1}
    return model.model_validate({"metadata": meta, "spec": {"app": "shop"} | spec})


def pod(found: Any) -> dict[str, Any]:
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def container(found: Any) -> dict[str, Any]:
    (only,) = pod(found)["containers"]
    one: dict[str, Any] = only
    return one


def env(found: Any) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container(found)["env"]}


@pytest.mark.parametrize("kind", ["ExecutorPool", "ReplayPool"])
def test_every_pod_is_restricted_and_has_no_token(kind: str) -> None:
    found = render(pool(kind), None, DEFAULTS)
    assert pod(found)["automountServiceAccountToken"] is False
    assert pod(found)["securityContext"]["runAsNonRoot"] is True
    assert pod(found)["securityContext"]["runAsUser"] > 0
    assert pod(found)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(found)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "tmp", "emptyDir": {}} in pod(found)["volumes"]


def test_an_executor_is_told_its_tags_and_slots() -> None:
    found = render(pool(tags=["io", "gpu"], includeUntagged=True, slots=2), None, DEFAULTS)
    assert container(found)["args"] == [
        *("executor", "--app", "shop", "--tags", "gpu,io", "--untagged", "--slots", "2"),
    ]


def test_a_replayer_is_told_its_code_and_hashes_alike_in_every_process() -> None:
    found = render(pool("ReplayPool"), None, DEFAULTS)
    assert container(found)["args"] == ["replayer", "--app", "shop"]
    assert env(found)["PYTHONHASHSEED"] == "0"


def test_the_patience_of_the_kubelet_follows_from_the_drain() -> None:
    one = pool(tags=["a"], drain={"timeout": "2m"}, cancellation={"grace": "15s"})
    assert grace_seconds(one) == 120 + 15 + 10
    found = render(one, None, DEFAULTS)
    assert pod(found)["terminationGracePeriodSeconds"] == 145
    assert env(found)["PERDURE_DRAIN_SECONDS"] == "120"
    assert env(found)["PERDURE_CANCEL_GRACE_SECONDS"] == "15"


def test_the_address_of_the_database_is_a_file_and_no_variable() -> None:
    found = render(pool(database={"secretName": "mine", "key": "dsn"}), None, DEFAULTS)
    (volume,) = [one for one in pod(found)["volumes"] if one["name"] == "database"]
    assert volume["secret"]["secretName"] == "mine"
    assert volume["secret"]["items"] == [{"key": "dsn", "path": "uri"}]
    assert "PERDURE_DATABASE_URL" not in env(found)


def test_other_code_is_another_pod() -> None:
    one = pool(app=None, code={"configMap": "hello", "module": "hello"})
    path = ("spec", "template", "metadata", "annotations", CODE_HASH)
    first = field_of(render(one, CODE, DEFAULTS), *path)
    assert first == field_of(render(one, dict(CODE), DEFAULTS), *path)
    assert first != field_of(render(one, CODE | {"more.py": ""}, DEFAULTS), *path)
    found = render(one, CODE, DEFAULTS)
    assert env(found)["PYTHONPATH"].startswith("/perdure/code")
    assert container(found)["args"][:3] == ["executor", "--app", "hello"]


def test_a_gpu_is_asked_for_and_its_taint_tolerated() -> None:
    found: Any = render(pool(tags=["gpu"], gpu={"count": 2}), None, DEFAULTS)
    assert container(found)["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    assert pod(found)["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert found["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_the_template_comes_on_top() -> None:
    template = {
        "labels": {"team": "a", "perdure.dev/pool": "stolen"},
        "nodeSelector": {"zone": "b"},
        "env": [{"name": "REGION", "value": "eu"}],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "volumes": [{"name": "data", "emptyDir": {}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "resources": {"limits": {"memory": "1Gi"}},
    }
    found: Any = render(pool(tags=["a"], template=template), None, DEFAULTS)
    assert found["spec"]["template"]["metadata"]["labels"]["team"] == "a"
    assert found["spec"]["template"]["metadata"]["labels"]["perdure.dev/pool"] == "gpu"
    assert pod(found)["nodeSelector"] == {"zone": "b"}
    assert env(found)["REGION"] == "eu"
    assert container(found)["envFrom"] == [{"secretRef": {"name": "s"}}]
    assert container(found)["resources"]["limits"] == {"memory": "1Gi"}
    assert pod(found)["volumes"][-1]["name"] == "data"


def test_labels_of_the_pool_are_not_passed_on() -> None:
    one = pool(tags=["a"])
    labelled = one.model_copy(
        update={"metadata": one.metadata.model_copy(update={"labels": {"argo": "x"}})}
    )
    assert render(one, None, DEFAULTS) == render(labelled, None, DEFAULTS)


def test_names_fit_a_label_of_a_pod() -> None:
    one = pool(tags=["a"])
    longest = one.metadata.model_copy(update={"name": "n" * 52})
    assert len(deployment_name(one.model_copy(update={"metadata": longest}))) <= 63


@pytest.mark.parametrize(
    ("actual", "wanted", "holds"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({}, {"a": None}, False),
    ],
)
def test_what_the_server_adds_does_not_count(actual: Any, wanted: Any, *, holds: bool) -> None:
    assert covers(actual, wanted) is holds
