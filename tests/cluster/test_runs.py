"""In scope: what a user of kubectl sees of runs that go well, and that he can steer them."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.conftest import Cluster, Manifest

    Orchestration = Callable[..., Manifest]

pytestmark = pytest.mark.usefixtures("trial")


def test_an_orchestration_completes_and_shows_its_result(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("chain", {"key": (key := secrets.token_hex(4)), "steps": 5})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.wait(f"orchestration/{name}", "condition=Ready", 60)
    status = cluster.status(name)
    assert (status["phase"], status["result"]["inline"]) == ("Completed", 15)
    assert [trace[0] for trace in cluster.traces(key)] == [f"{key}/{n}" for n in range(1, 6)]


def test_the_same_manifest_applied_again_changes_nothing(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("chain", {"key": (key := secrets.token_hex(4)), "steps": 3})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.ended(name)
    before = cluster.get("orchestration", name)
    length = cluster.history_length(name)
    for _ in range(3):
        assert "unchanged" in cluster.apply(run)
    # A second run beside it ends: so the operator had time to do something to the first.
    other = orchestration("chain", {"key": secrets.token_hex(4), "steps": 3})
    cluster.apply(other)
    cluster.ended(other["metadata"]["name"])
    assert cluster.get("orchestration", name) == before
    assert cluster.history_length(name) == length
    assert len(cluster.traces(key)) == 3


def test_a_run_that_changes_needs_a_new_key_and_then_runs_again(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("chain", {"key": secrets.token_hex(4), "steps": 2})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.ended(name)
    run["spec"]["run"]["input"]["steps"] = 3
    assert "change spec.run.key too" in cluster.refused(run)
    run["spec"]["run"]["key"] = "2"
    cluster.apply(run)
    status = cluster.until(
        "the second run is over",
        lambda: s if (s := cluster.status(name)).get("runKey") == "2" and "result" in s else None,
    )
    assert status["result"]["inline"] == 6
    assert [one["key"] for one in status["runs"]] == ["1"]


def test_what_asks_for_a_gpu_waits_for_a_pool_that_has_one(
    cluster: Cluster, orchestration: Orchestration, pool: Callable[..., Manifest]
) -> None:
    tag = f"gpu-{secrets.token_hex(3)}"
    run = orchestration("holding", {"key": (key := secrets.token_hex(4)), "tag": tag})
    name = run["metadata"]["name"]
    cluster.apply(run)
    message = cluster.says(name, "Blocked", "True", "NoExecutor")
    assert tag in message
    assert not cluster.traces(key), "an executor without the tag ran it"
    cluster.open_gate(key)
    cluster.apply(pool(tag, tags=[tag]))
    cluster.ended(name)
    pods = {trace[2] for trace in cluster.traces(key)}
    assert len(pods) == 1
    assert pods.pop().startswith(f"{tag}-executor-")
    assert cluster.until(
        "it is blocked no more",
        lambda: cluster.condition("orchestration", name, "Blocked")["status"] == "False",
    )


def test_cancelled_reaches_the_running_body_within_two_seconds(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("holding", {"key": (key := secrets.token_hex(4)), "tag": "held"})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.until("the body runs", lambda: cluster.traces(key))
    asked = time.time()
    cluster.steer(name, "Cancelled")
    cluster.ended(name, "Cancelled")
    stopped = cluster.until("the body stopped", lambda: cluster.traces(key)[1])
    assert stopped[1].startswith("stopped: ")
    assert float(stopped[4]) - asked < 2.0
    cluster.wait(f"orchestration/{name}", "condition=Ready", 10)


def test_delete_cancels_and_lets_go_of_the_object(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("holding", {"key": (key := secrets.token_hex(4)), "tag": "held"})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.until("the body runs", lambda: cluster.traces(key))
    instance = cluster.until("it is shown", lambda: cluster.status(name)["instanceId"])
    cluster.kubectl("delete", "orchestration", name, "--timeout=30s")
    assert cluster.until("the body stopped", lambda: cluster.traces(key)[1])
    assert cluster.instance(instance)["status"] == "Cancelled"


def test_suspended_takes_no_turn_until_it_runs_again(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("patient", {})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.ended(name, "Running")
    cluster.steer(name, "Suspended")
    status = cluster.ended(name, "Suspended")
    cluster.perdure("event", "raise", status["instanceId"], "go", "--data", '"now"')
    length = cluster.history_length(name)
    cluster.steer(name, "Running")
    assert cluster.ended(name)["result"]["inline"] == "now"
    assert cluster.history_length(name) > length


def test_an_identity_of_its_own_is_found_again_by_another_object(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    identity = f"order-{secrets.token_hex(4)}"
    run = orchestration("chain", {"key": (key := secrets.token_hex(4)), "steps": 2})
    name = run["metadata"]["name"]
    run["spec"] |= {"instanceId": identity, "deletionPolicy": "Orphan"}
    cluster.apply(run)
    cluster.ended(name)
    cluster.kubectl("delete", "orchestration", name, "--timeout=30s")
    cluster.apply(run)  # as after a lost cluster: the same manifest, an empty API server
    assert cluster.ended(name)["result"]["inline"] == 3
    assert len(cluster.traces(key)) == 2, "it ran again"


def test_no_secret_and_no_history_is_in_the_object(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("chain", {"key": secrets.token_hex(4), "steps": 40})
    name = run["metadata"]["name"]
    cluster.apply(run)
    cluster.ended(name)
    found: dict[str, Any] = cluster.get("orchestration", name)
    assert len(json.dumps(found["status"])) < 8 << 10
