"""In scope: what the API server itself takes and refuses of our kinds, before anybody sees it.

Out of scope: what the controller then makes of it. Nothing here runs: objects are suspended.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.conftest import Cluster, Manifest


def orchestration(name: str, **spec: Any) -> Manifest:
    run = {"orchestration": "nobody", "input": {"a": [1]}} | spec.pop("run", {})
    return {
        "apiVersion": "perdure.dev/v1alpha1",
        "kind": "Orchestration",
        "metadata": {"name": name},
        "spec": {"run": run, "desiredState": "Suspended", "deletionPolicy": "Orphan"} | spec,
    }


def pool(kind: str = "ExecutorPool", name: str = "refused", **spec: Any) -> Manifest:
    return {
        "apiVersion": "perdure.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"replicas": 0} | spec,
    }


def refused(cluster: Cluster, manifest: Manifest) -> str:
    with pytest.raises(AssertionError) as refusal:
        cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(manifest))
    return str(refusal.value)


@pytest.fixture
def held(cluster: Cluster) -> Iterator[str]:
    """An Orchestration that is there and not started, under an id of its own."""
    name = f"held-{secrets.token_hex(4)}"
    cluster.apply(orchestration(name, instanceId=name))
    yield name
    cluster.kubectl("delete", "orchestration", name, "--wait=false")


@pytest.fixture
def change(cluster: Cluster, held: str) -> Any:
    """Try a change of that object, without keeping it; returns what the API server says."""

    def patch(spec: Manifest) -> str:
        command = ("patch", "orchestration", held, "--type=merge", "--dry-run=server")
        try:
            return cluster.kubectl(*command, "-p", json.dumps({"spec": spec}))
        except AssertionError as error:
            return f"refused: {error}"

    return patch


@pytest.mark.parametrize(
    "run",
    [
        {"input": {"a": [2]}},
        {"input": {"a": [1], "b": {}}},
        {"input": "other"},
        {"orchestration": "other"},
        {"version": "2.0.0"},
    ],
)
def test_a_run_does_not_change_under_its_key(change: Any, run: Manifest) -> None:
    assert "change spec.run.key too" in change({"run": run})
    assert "patched" in change({"run": run | {"key": "2"}})


def test_an_identity_does_not_change(change: Any) -> None:
    assert "spec.instanceId is the identity" in change({"instanceId": "other"})
    assert "spec.instanceId is the identity" in change({"instanceId": None})


def test_what_ended_by_the_spec_stays_ended(cluster: Cluster, held: str, change: Any) -> None:
    patch = json.dumps({"spec": {"desiredState": "Cancelled"}})
    cluster.kubectl("patch", "orchestration", held, "--type=merge", "-p", patch)
    assert "does not come back" in change({"desiredState": "Running"})
    assert "patched" in change({"desiredState": "Terminated"})
    assert "patched" in change({"desiredState": "Running", "run": {"key": "2"}})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"deletionGrace": "soon"}, "such as 30s, 5m or 1h30m"),
        ({"deletionGrace": "0s"}, "such as 30s, 5m or 1h30m"),
        ({"desiredState": "Paused"}, "desiredState"),
        ({"run": {"key": "a b"}}, "spec.run.key"),
        ({"run": {"key": ""}}, "spec.run.key"),
        ({"run": {"orchestration": ""}}, "spec.run.orchestration"),
        ({"run": {"input": None, "inputFrom": {}}}, "exactly one of"),
        (
            {"run": {"inputFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}},
            "spec.run",
        ),
        ({"instanceId": "i" * 190}, "spec.instanceId"),
    ],
)
def test_an_orchestration_that_means_nothing_is_refused(
    cluster: Cluster, spec: Manifest, said: str
) -> None:
    assert said in refused(cluster, orchestration("refused", **spec))


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (pool(app="a"), "the pool serves nothing"),
        (pool(tags=["a"]), "name the code to run once"),
        (pool(tags=["a"], app="a", code={"configMap": "c", "module": "m"}), "code to run once"),
        (pool(tags=["a", "a"], app="a"), "Duplicate value"),
        (pool(tags=["a b"], app="a"), "spec.tags"),
        (pool(tags=["a"], app="not a module"), "spec.app"),
        (pool(tags=["a"], app="a", replicas=-1), "spec.replicas"),
        (pool(tags=["a"], app="a", slots=0), "spec.slots"),
        (pool(tags=["a"], app="a", drain={"timeout": "x"}), "such as 30s"),
        (pool(name="n" * 53, tags=["a"], app="a"), "at most 52 characters"),
        (pool("ReplayPool"), "name the code to run once"),
    ],
)
def test_a_pool_that_means_nothing_is_refused(
    cluster: Cluster, manifest: Manifest, said: str
) -> None:
    assert said in refused(cluster, manifest)


def test_the_tags_of_a_pool_do_not_change_but_their_order_may(cluster: Cluster) -> None:
    name = f"tags-{secrets.token_hex(4)}"
    cluster.apply(pool(name=name, tags=["a", "b"], app="perdure.builtin"))
    try:
        for tags, kept in ((["b", "a"], True), (["a"], False), (None, False)):
            patch = json.dumps({"spec": {"tags": tags, "includeUntagged": True}})
            command = ("patch", "executorpool", name, "--type=merge", "--dry-run=server")
            if kept:
                cluster.kubectl(*command, "-p", patch)
                continue
            with pytest.raises(AssertionError, match="tags of a pool cannot change"):
                cluster.kubectl(*command, "-p", patch)
    finally:
        cluster.kubectl("delete", "executorpool", name, "--wait=false")


def test_what_nobody_looked_at_yet_does_not_pass_for_ready(cluster: Cluster) -> None:
    text = cluster.kubectl(
        *("create", "--dry-run=server", "-o", "json", "-f", "-"),
        stdin=json.dumps(orchestration("unseen")),
    )
    assert json.loads(text)["status"] == {"observedGeneration": -1}


def test_explain_says_what_a_field_is_for(cluster: Cluster) -> None:
    assert "a new key starts a new run" in cluster.kubectl("explain", "orch.spec.run.key")
    assert "kubectl scale" in cluster.kubectl("explain", "xpool.spec.replicas")


def test_a_pool_is_scaled_as_deployments_are(cluster: Cluster) -> None:
    name = f"scaled-{secrets.token_hex(4)}"
    cluster.apply(pool(name=name, tags=[name], app="perdure.builtin"))
    try:
        cluster.kubectl("scale", f"executorpool/{name}", "--replicas=1")
        cluster.wait(f"executorpool/{name}", "jsonpath={.status.readyReplicas}=1", 60)
    finally:
        cluster.kubectl("delete", "executorpool", name, "--wait=false")


def test_runs_are_found_by_phase_and_orchestration(cluster: Cluster, held: str) -> None:
    cluster.wait(f"orchestration/{held}", "jsonpath={.status.phase}=Suspended", 30)
    selector = "--field-selector=status.phase=Suspended,spec.run.orchestration=nobody"
    assert f"orchestration.perdure.dev/{held}" in cluster.kubectl(
        "get", "orchestrations", selector, "-o", "name"
    )
