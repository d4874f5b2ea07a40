"""In scope: what the chart renders, and which values it refuses.

Out of scope: that what it renders works (tests/cluster).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perdure_operator.api.v1alpha1 import KINDS
from tests.chart.conftest import TRIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.chart.conftest import Helm, Manifest

    Pick = Callable[..., Manifest]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that the chart makes, by any kind."""
    for one in manifests:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif one["kind"] in {"Deployment", "StatefulSet", "Job"}:
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def rules(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    for one in manifests:
        if one["kind"] in {"Role", "ClusterRole"}:
            yield from one["rules"]


def test_it_has_nothing_for_lint_to_say(helm: Helm) -> None:
    done = helm.lint(TRIAL)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def test_the_definitions_are_the_generated_ones(trial: list[Manifest]) -> None:
    found = {one["metadata"]["name"] for one in trial if one["kind"] == "CustomResourceDefinition"}
    assert found == {kind.crd for kind in KINDS}


def test_definitions_are_kept_unless_told_otherwise(helm: Helm, trial: list[Manifest]) -> None:
    keep = "helm.sh/resource-policy"
    for one in trial:
        if one["kind"] == "CustomResourceDefinition":
            assert one["metadata"]["annotations"][keep] == "keep"
    for one in helm.render(TRIAL | {"crds": {"keep": False}}):
        if one["kind"] == "CustomResourceDefinition":
            assert keep not in one["metadata"].get("annotations", {})
    without = helm.render(TRIAL | {"crds": {"enabled": False}})
    assert not [one for one in without if one["kind"] == "CustomResourceDefinition"]


def test_every_pod_is_restricted(trial: list[Manifest]) -> None:
    found = list(pods(trial))
    assert len(found) == 5
    for name, pod in found:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] == 65532, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", name
        assert "automountServiceAccountToken" in pod, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "requests" in container["resources"], name


def test_only_what_talks_to_the_api_server_has_a_token(trial: list[Manifest]) -> None:
    found = {name for name, pod in pods(trial) if pod["automountServiceAccountToken"]}
    assert found == {"perdure-operator", "perdure-release", "perdure-test"}


def test_nobody_may_list_secrets_or_do_anything_to_everything(trial: list[Manifest]) -> None:
    for rule in rules(trial):
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        if "secrets" in rule["resources"]:
            assert rule["verbs"] == ["get"]
        assert not {"pods/exec", "serviceaccounts/token"} & set(rule["resources"])


def test_secrets_need_not_be_read_at_all(helm: Helm) -> None:
    found = helm.render(TRIAL | {"rbac": {"secretInputs": False}})
    assert not [rule for rule in rules(found) if "secrets" in rule["resources"]]


def test_one_value_decides_what_is_watched_and_what_may_be_read(helm: Helm, pick: Pick) -> None:
    found = helm.render(TRIAL | {"namespaces": ["a", "b"], "rbac": {"aggregate": False}})
    assert not [one for one in found if one["kind"].startswith("ClusterRole")]
    scoped = {
        one["metadata"]["namespace"]
        for one in found
        if one["kind"] == "Role" and "namespace" in one["metadata"]
    }
    assert scoped == {"a", "b"}
    (container,) = pick(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    assert env["PERDURE_WATCH_NAMESPACES"] == "a,b"


def test_the_schema_is_migrated_after_an_install_and_before_an_upgrade(
    trial: list[Manifest], pick: Pick
) -> None:
    hook = pick(trial, "Job", "-migrate")["metadata"]["annotations"]["helm.sh/hook"]
    assert hook == "post-install,pre-upgrade"


def test_default_pools_serve_the_built_in_example(trial: list[Manifest], pick: Pick) -> None:
    pools = json.loads(pick(trial, "ConfigMap")["data"]["pools.json"])
    assert [(one["kind"], one["name"]) for one in pools] == [
        ("ReplayPool", "default"),
        ("ExecutorPool", "default"),
    ]
    for one in pools:
        kind = next(kind for kind in KINDS if kind.name == one["kind"])
        meta = {"namespace": "n", "name": one["name"], "uid": "u"}
        pool: Any = kind.model.model_validate({"metadata": meta, "spec": one["spec"]})
        assert pool.spec.app == "perdure.builtin"
    assert pools[1]["spec"]["includeUntagged"] is True


def test_or_code_of_ones_own(helm: Helm, pick: Pick) -> None:
    code = {"configMap": "shop", "module": "shop"}
    found = helm.render(TRIAL | {"pools": {"code": code, "replay": {"replicas": 3}}})
    pools = json.loads(pick(found, "ConfigMap")["data"]["pools.json"])
    assert pools[0]["spec"]["code"] == code
    assert pools[0]["spec"]["replicas"] == 3
    assert "app" not in pools[0]["spec"]
    assert not [one for one in found if one["kind"] == "Pod"], "there is no ping to test with"


def test_no_pools_may_be_wanted(helm: Helm, pick: Pick) -> None:
    off = {"enabled": False}
    found = helm.render(TRIAL | {"pools": {"replay": off, "executor": off}})
    assert pick(found, "ConfigMap")["data"]["pools.json"] == "[]"


def test_a_database_of_ones_own_is_left_alone(helm: Helm) -> None:
    found = helm.render({"database": {"existingSecret": "mine", "key": "dsn"}})
    assert not [one for one in found if one["kind"] in {"Secret", "StatefulSet"}]
    for name, pod in pods(found):
        for volume in pod["volumes"]:
            if volume["name"] == "database":
                assert volume["secret"]["secretName"] == "mine", name
                assert volume["secret"]["items"] == [{"key": "dsn", "path": "uri"}], name


def test_the_trial_database_is_reached_from_every_namespace(helm: Helm) -> None:
    database = {"embedded": {"enabled": True}, "copyTo": ["a"]}
    found = [one for one in helm.render({"database": database}) if one["kind"] == "Secret"]
    assert {one["metadata"]["namespace"] for one in found} == {"home", "a"}
    assert len({one["stringData"]["uri"] for one in found}) == 1
    assert "@perdure-postgres.home.svc:5432/perdure" in found[0]["stringData"]["uri"]
    assert [one["metadata"]["namespace"] for one in found if "password" in one["stringData"]] == [
        "home"
    ]


def test_objects_are_let_go_before_the_controller_is(trial: list[Manifest], pick: Pick) -> None:
    release = pick(trial, "Job", "-release")
    assert release["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    (container,) = release["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python", "-m", "perdure_operator.release"]


def test_policies_of_the_network_come_on_request(helm: Helm, trial: list[Manifest]) -> None:
    assert not [one for one in trial if one["kind"] == "NetworkPolicy"]
    found = helm.render(TRIAL | {"networkPolicy": {"enabled": True}})
    assert len([one for one in found if one["kind"] == "NetworkPolicy"]) == 2


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Perdure needs a Postgres"),
        (
            {"database": {"uri": "postgresql://h/d", "existingSecret": "s"}},
            "database.existingSecret, database.uri",
        ),
        ({"database": {"existingSecret": "s", "copyTo": ["a"]}}, "copyTo copies only"),
        ({"database": {"uri": "mysql://h/d"}}, "/database/uri"),
        (TRIAL | {"pool": {}}, "'pool' not allowed"),
        (TRIAL | {"operator": {"replicas": 0}}, "/operator/replicas"),
        (TRIAL | {"operator": {"replica": 1}}, "'replica' not allowed"),
        (TRIAL | {"images": {"pullPolicy": "Sometimes"}}, "/images/pullPolicy"),
        (TRIAL | {"pools": {"executor": {"name": "x" * 53}}}, "/pools/executor/name"),
        (TRIAL | {"pools": {"code": {"configMap": "c"}}}, "/pools/code"),
        (
            TRIAL | {"pools": {"app": "a", "code": {"configMap": "c", "module": "m"}}},
            "not both",
        ),
    ],
)
def test_values_that_cannot_be_meant_are_refused(helm: Helm, values: Manifest, said: str) -> None:
    assert said in helm.refused(values)
