"""In scope: that what is wrong is said where it is declared, harms nothing, and can be mended."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.conftest import Cluster, Manifest

    Orchestration = Callable[..., Manifest]
    Pool = Callable[..., Manifest]

pytestmark = pytest.mark.usefixtures("trial")


def _mend(cluster: Cluster, run: Manifest, **change: Any) -> dict[str, Any]:
    """Declare the run again under a new key, with what was wrong put right."""
    run["spec"]["run"] |= {"key": "mended"} | change
    run["spec"]["replacePolicy"] = "Terminate"
    cluster.apply(run)
    return cluster.until(
        "the mended run completes",
        lambda: (
            status
            if (status := cluster.status(run["metadata"]["name"])).get("runKey") == "mended"
            and status["phase"] == "Completed"
            else None
        ),
    )


def test_an_orchestration_that_nobody_has(cluster: Cluster, orchestration: Orchestration) -> None:
    run = orchestration("chian", {"key": (key := secrets.token_hex(4)), "steps": 1})
    cluster.apply(run)
    message = cluster.says(run["metadata"]["name"], "Blocked", "True", "NoReplayer")
    assert "'chian'" in message
    assert "chain 1.0.0" in message
    assert _mend(cluster, run, orchestration="chain")["result"]["inline"] == 1
    assert len(cluster.traces(key)) == 1


def test_a_version_that_nobody_has(cluster: Cluster, orchestration: Orchestration) -> None:
    run = orchestration("chain", {"key": secrets.token_hex(4), "steps": 1})
    run["spec"]["run"]["version"] = "9.9.9"
    cluster.apply(run)
    message = cluster.says(run["metadata"]["name"], "Blocked", "True", "NoReplayer")
    assert "9.9.9" in message
    assert "1.0.0" in message
    assert _mend(cluster, run, version="1.0.0")["resolvedVersion"] == "1.0.0"


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"order": {"id": "a", "cents": "many"}}, "cents"),
        ({"order": {"id": "a"}}, "cents"),
        ({}, "order"),
        ({"order": {"id": "a", "cents": 1}, "more": True}, "more"),
    ],
    ids=["wrong-type", "field-missing", "argument-missing", "argument-unknown"],
)
def test_an_input_that_the_code_does_not_take(
    cluster: Cluster, orchestration: Orchestration, bad: object, named: str
) -> None:
    run = orchestration("priced", bad)
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.until(
        "it is stalled",
        lambda: cluster.condition("orchestration", name, "Stalled")["status"] == "True",
    )
    assert named in cluster.condition("orchestration", name, "Stalled")["message"]
    assert _mend(cluster, run, input={"order": {"id": "a", "cents": 7}})["result"]["inline"] == 7


def test_an_input_that_is_too_large(cluster: Cluster, orchestration: Orchestration) -> None:
    run = orchestration("priced", {"order": {"id": "x" * (257 << 10), "cents": 1}})
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(run))
    message = cluster.says(run["metadata"]["name"], "Accepted", "False", "InputInvalid")
    assert "256 KiB" in message
    small = {"order": {"id": "x", "cents": 2}}
    change = {"spec": {"run": {"key": "2", "input": small}}}
    cluster.kubectl(
        *("patch", "orchestration", run["metadata"]["name"], "--type=merge"),
        *("-p", json.dumps(change)),
    )
    cluster.wait(f"orchestration/{run['metadata']['name']}", "condition=Ready", 60)


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_an_input_whose_source_is_not_there_yet(
    cluster: Cluster, orchestration: Orchestration, kind: str
) -> None:
    run = orchestration("priced", None)
    name = run["metadata"]["name"]
    del run["spec"]["run"]["input"]
    field = f"{kind[0].lower()}{kind[1:]}KeyRef"
    run["spec"]["run"]["inputFrom"] = {field: {"name": name, "key": "input.json"}}
    cluster.apply(run)
    assert name in cluster.says(name, "Accepted", "False", "InputNotFound")
    source: Manifest = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name},
        "data" if kind == "ConfigMap" else "stringData": {
            "input.json": '{"order": {"id": "b", "cents": 3}}'
        },
    }
    cluster.apply(source)
    assert cluster.ended(name)["result"]["inline"] == 3


def test_code_that_is_not_there_yet(cluster: Cluster, pool: Pool) -> None:
    name = f"early-{secrets.token_hex(3)}"
    early = pool(name, tags=[name])
    early["spec"]["code"]["configMap"] = name
    cluster.apply(early)
    message = cluster.says(name, "Degraded", "True", "CodeNotFound", kind="executorpool")
    assert name in message
    cluster.apply(_code(name, "from perdure import activity\n\n\n@activity\ndef one(): ...\n"))
    cluster.wait(f"executorpool/{name}", "condition=Ready", 60)


def test_code_that_does_not_import_is_named_and_nothing_crash_loops(
    cluster: Cluster, pool: Pool
) -> None:
    name = f"broken-{secrets.token_hex(3)}"
    cluster.apply(_code(name, "import there_is_no_such_module\n"))
    broken = pool(name, tags=[name])
    broken["spec"]["code"]["configMap"] = name
    cluster.apply(broken)
    message = cluster.says(name, "Degraded", "True", "AppNotLoading", kind="executorpool")
    assert "there_is_no_such_module" in message
    pods = cluster.pods(f"perdure.dev/pool={name}")
    assert [one["restartCount"] for pod in pods for one in pod["status"]["containerStatuses"]] == [
        0
    ]
    cluster.apply(_code(name, "from perdure import activity\n\n\n@activity\ndef one(): ...\n"))
    cluster.wait(f"executorpool/{name}", "condition=Ready", 60)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": {"orchestration": "chain", "input": {}, "inputFrom": {}}}, "input"),
        ({"run": {"input": {}}}, "orchestration"),
        ({"run": {"orchestration": "chain"}, "desiredState": "Paused"}, "desiredState"),
        ({"run": {"orchestration": "chain"}, "deletionGrace": "-5s"}, "duration"),
    ],
    ids=["two-inputs", "no-orchestration", "no-such-state", "no-duration"],
)
def test_what_cannot_be_meant_is_refused_at_the_door(
    cluster: Cluster, orchestration: Orchestration, change: dict[str, Any], said: str
) -> None:
    run = orchestration("chain", {})
    run["spec"] = change
    assert said in cluster.refused(run)


def _code(name: str, text: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"trial.py": text},
    }
