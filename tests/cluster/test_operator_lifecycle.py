"""In scope: objects that go, come back, or have their controller taken away, on a real cluster.

Out of scope: what runs inside a run (`test_runs.py`), and what decides (tests/control).
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.conftest import Cluster, Manifest

    Orchestration = Callable[..., Manifest]

pytestmark = pytest.mark.usefixtures("trial")

_OPERATORS = "app.kubernetes.io/component=operator"


@pytest.fixture
def nobody(orchestration: Orchestration) -> Manifest:
    """A run that goes on for ever, as no replayer has its code."""
    run = orchestration(f"nobody-{secrets.token_hex(4)}", {})
    run["spec"]["deletionGrace"] = "2s"
    return run


def _name(run: Manifest) -> str:
    name: str = run["metadata"]["name"]
    return name


def _started(cluster: Cluster, run: Manifest) -> str:
    """Apply it, and wait for its instance."""
    cluster.apply(run)
    instance: str = cluster.until(
        "it has an instance", lambda: cluster.status(_name(run))["instanceId"]
    )
    return instance


def _gone(cluster: Cluster, name: str) -> bool:
    return not cluster.kubectl("get", "orchestration", name, "--ignore-not-found").strip()


def _phase_of(cluster: Cluster, instance: str) -> str:
    """Ask the database itself, by the command that users have."""
    pod = cluster.ready(_OPERATORS)[0]["metadata"]["name"]
    text = cluster.kubectl("exec", pod, "--", "perdure", "get", instance, "-o", "json")
    status: str = json.loads(text)["status"]
    return status


def test_a_deleted_run_is_asked_to_end_and_then_terminated(
    cluster: Cluster, nobody: Manifest
) -> None:
    instance = _started(cluster, nobody)
    cluster.kubectl("delete", "orchestration", _name(nobody), "--timeout=30s", seconds=45)
    assert _phase_of(cluster, instance) in {"Cancelled", "Terminated"}


def test_an_orphan_goes_on(cluster: Cluster, nobody: Manifest) -> None:
    nobody["spec"]["deletionPolicy"] = "Orphan"
    instance = _started(cluster, nobody)
    assert "finalizers" not in cluster.get("orchestration", _name(nobody))["metadata"]
    cluster.kubectl("delete", "orchestration", _name(nobody), "--timeout=10s")
    assert _phase_of(cluster, instance) == "Pending"


def test_a_manifest_finds_its_named_instance_again(
    cluster: Cluster, orchestration: Orchestration
) -> None:
    run = orchestration("chain", {"key": (key := secrets.token_hex(4)), "steps": 1})
    run["spec"] |= {"instanceId": f"named-{key}", "deletionPolicy": "Orphan"}
    cluster.apply(run)
    first = cluster.ended(_name(run))
    cluster.kubectl("delete", "orchestration", _name(run), "--timeout=10s")
    cluster.apply(run)
    again = cluster.ended(_name(run))
    assert again["instanceId"] == first["instanceId"] == f"named-{key}"
    assert again["startedAt"] == first["startedAt"]
    assert len(cluster.traces(key)) == 1


def test_what_the_command_line_cancels_stays_cancelled(cluster: Cluster, nobody: Manifest) -> None:
    instance = _started(cluster, nobody)
    pod = cluster.ready(_OPERATORS)[0]["metadata"]["name"]
    cluster.kubectl("exec", pod, "--", "perdure", "terminate", instance)
    status = cluster.ended(_name(nobody), "Terminated")
    assert status["reason"] == "TerminatedByApi"
    assert cluster.condition("orchestration", _name(nobody), "Stalled")["status"] == "True"


def test_another_controller_takes_over_from_one_that_is_killed(
    cluster: Cluster, nobody: Manifest
) -> None:
    def leader() -> str:
        lease = cluster.get("lease", "perdure-operator")
        holder: str = lease["spec"]["holderIdentity"]
        return holder

    first = cluster.until("somebody leads", leader)
    cluster.kill(first)
    assert cluster.until("another leads", lambda: (now := leader()) != first and now, 45)
    _started(cluster, nobody)


def test_a_deletion_does_not_wait_for_a_database_that_is_away(
    cluster: Cluster, nobody: Manifest, orchestration: Orchestration
) -> None:
    instance = _started(cluster, nobody)
    cluster.kubectl("scale", "statefulset/perdure-postgres", "--replicas=0")
    try:
        cluster.until(
            "the database is gone",
            lambda: not cluster.all_of("pods", selector="app.kubernetes.io/component=postgres"),
        )
        late = orchestration("chain", {"key": (key := secrets.token_hex(4)), "steps": 1})
        cluster.apply(late)
        cluster.says(_name(late), "Blocked", "True", "DatabaseUnreachable")
        cluster.kubectl("delete", "orchestration", _name(nobody), "--wait=false")
        cluster.until("it is let go", lambda: _gone(cluster, _name(nobody)), 60)
        owed: dict[str, Any] = cluster.get("configmap", "perdure-deferred")["data"]
        assert instance in owed.values()
    finally:
        cluster.kubectl("scale", "statefulset/perdure-postgres", "--replicas=1")
    assert cluster.ended(_name(late), seconds=90)["result"]["inline"] == 1
    assert len(cluster.traces(key)) == 1
    cluster.until(
        "what is owed is paid",
        lambda: (
            not cluster.kubectl(
                "get", "configmap", "perdure-deferred", "--ignore-not-found"
            ).strip()
        ),
    )
    assert _phase_of(cluster, instance) == "Terminated"
