"""In scope: what is decided about a pool, from its manifest, its Deployment and its pods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure.model.ids import ExecutorId
from perdure.providers.reading import ExecutorInfo, LiveExecutor, Role, TagBacklog
from perdure.providers.work import CodeId
from perdure_operator.api.v1alpha1 import ExecutorPoolResource, ReplayPoolResource
from perdure_operator.observe import pod_trouble
from perdure_operator.observed import Fleet, ObservedPool, PodTrouble
from perdure_operator.plan.pool import plan_pool
from perdure_operator.plan.steps import ApplyObject, Urgency
from perdure_operator.render import PodDefaults, render

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DEFAULTS = PodDefaults("perdure/executor:1", "IfNotPresent", "perdure-database", "uri", "perdure")
META = {"namespace": "shop", "name": "work", "uid": "0f0e", "generation": 3}


def executors(**spec: Any) -> ExecutorPoolResource:
    wanted = {"app": "shop", "tags": ["io"], "replicas": 2} | spec
    return ExecutorPoolResource.model_validate({"metadata": META, "spec": wanted})


def deployed(pool: Any, code: dict[str, str] | None = None, *, ready: int = 2) -> Any:
    """The Deployment as rendered, and as far as it has come."""
    found: Any = render(pool, code, DEFAULTS)
    found["metadata"]["generation"] = 1
    replicas = pool.spec.replicas
    found["status"] = {
        "observedGeneration": 1,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": ready,
    }
    return found


def facts(plan: Any) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in plan.status.conditions}


def test_a_pool_without_a_deployment_gets_one() -> None:
    (step,) = plan_pool(ObservedPool(executors()), NOW, DEFAULTS).steps
    assert isinstance(step, ApplyObject)
    assert step.path == "/apis/apps/v1/namespaces/shop/deployments/work-executor"


def test_a_deployment_that_is_right_is_left_alone() -> None:
    pool = executors()
    plan = plan_pool(ObservedPool(pool, deployment=deployed(pool)), NOW, DEFAULTS)
    assert plan.steps == ()
    assert facts(plan)["Ready"] == ("True", "Available")
    again = pool.model_copy(update={"status": plan.status})
    assert plan_pool(ObservedPool(again, deployment=deployed(pool)), NOW, DEFAULTS).status is None


def test_one_that_somebody_changed_is_put_right() -> None:
    pool = executors()
    changed = deployed(pool)
    changed["spec"]["replicas"] = 7
    assert plan_pool(ObservedPool(pool, deployment=changed), NOW, DEFAULTS).steps


def test_a_rollout_is_progress() -> None:
    pool = executors()
    plan = plan_pool(ObservedPool(pool, deployment=deployed(pool, ready=1)), NOW, DEFAULTS)
    assert facts(plan)["Ready"] == ("False", "RollingOut")
    assert facts(plan)["Available"][0] == "True"
    assert facts(plan)["Reconciling"][0] == "True"
    assert plan.status is not None
    assert plan.status.message == "1 of 2 pods are ready"
    assert plan.again is not None


def test_no_pods_may_be_what_is_wanted() -> None:
    pool = executors(replicas=0)
    plan = plan_pool(ObservedPool(pool, deployment=deployed(pool, ready=0)), NOW, DEFAULTS)
    assert facts(plan)["Ready"] == ("True", "ScaledToZero")
    assert facts(plan)["Available"] == ("True", "ScaledToZero")


def test_code_that_is_not_there_makes_no_pods() -> None:
    pool = executors(app=None, code={"configMap": "hello", "module": "hello"})
    plan = plan_pool(ObservedPool(pool), NOW, DEFAULTS)
    assert plan.steps == ()
    assert facts(plan)["Degraded"] == ("True", "CodeNotFound")
    assert [note.reason for note in plan.notes] == ["CodeNotFound"]


def test_changed_code_changes_the_deployment() -> None:
    pool = executors(app=None, code={"configMap": "hello", "module": "hello"})
    old, new = {"hello.py": "1"}, {"hello.py": "2"}
    seen = ObservedPool(pool, code=new, deployment=deployed(pool, old))
    assert plan_pool(seen, NOW, DEFAULTS).steps


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("AppNotLoading", "AppNotLoading"),
        ("ImagePullBackOff", "ImageNotPulled"),
        ("CreateContainerConfigError", "ConfigurationMissing"),
        ("Unschedulable", "Unschedulable"),
        ("CrashLoopBackOff", "PodsFailing"),
    ],
)
def test_what_is_wrong_with_a_pod_is_said_by_the_pool(reason: str, shown: str) -> None:
    pool = executors()
    troubles = (PodTrouble("work-1", reason, "No module named 'nope'"),)
    seen = ObservedPool(pool, deployment=deployed(pool, ready=0), troubles=troubles)
    plan = plan_pool(seen, NOW, DEFAULTS)
    assert facts(plan)["Degraded"] == ("True", shown)
    assert facts(plan)["Stalled"] == ("True", shown)
    assert plan.status is not None
    assert "work-1" in str(plan.status.message)
    assert "No module named 'nope'" in str(plan.status.message)


def test_what_the_api_server_refuses_is_said_too() -> None:
    plan = plan_pool(ObservedPool(executors(), refused="spec.volumes: bad"), NOW, DEFAULTS)
    assert facts(plan)["Degraded"] == ("True", "PodTemplateRefused")


def _live(name: str, role: Role, **fields: Any) -> LiveExecutor:
    return LiveExecutor(ExecutorInfo(ExecutorId(1), role, name, "b1", **fields), NOW)


def test_slots_and_backlog_are_those_of_its_own_pods_and_tags() -> None:
    pool = executors()
    fleet = Fleet(
        executors=(
            _live("shop/work-executor-1-a", Role.ACTIVITY, tags=("io",), slots=4, busy=3),
            _live("shop/work-executor-1-b", Role.ACTIVITY, tags=("io",), slots=4, busy=1),
            _live("other/work-executor-1-a", Role.ACTIVITY, tags=("io",), slots=4, busy=4),
        ),
        backlog=(
            TagBacklog("io", 5, 4, timedelta(seconds=9)),
            TagBacklog("gpu", 7, 0, timedelta(seconds=99)),
        ),
    )
    seen = ObservedPool(pool, deployment=deployed(pool), fleet=fleet)
    status: Any = plan_pool(seen, NOW, DEFAULTS).status
    assert (status.busy_slots, status.slots, status.observed_tags) == (4, 8, ("io",))
    assert (status.backlog.ready, status.backlog.running, status.backlog.oldest_seconds) == (
        5,
        4,
        9,
    )
    later = Fleet(executors=fleet.executors[:1], backlog=fleet.backlog)
    again = pool.model_copy(update={"status": status})
    plan = plan_pool(ObservedPool(again, deployment=deployed(pool), fleet=later), NOW, DEFAULTS)
    assert plan.urgency is Urgency.PROGRESS


def test_a_replay_pool_shows_what_it_can_run() -> None:
    spec = {"app": "shop", "replicas": 1}
    pool = ReplayPoolResource.model_validate({"metadata": META, "spec": spec})
    code = (CodeId("b", "1.0.0"), CodeId("a", "2.0.0"))
    fleet = Fleet(executors=(_live("shop/work-replayer-1-a", Role.REPLAY, code=code),))
    seen = ObservedPool(pool, deployment=deployed(pool, ready=1), fleet=fleet)
    status: Any = plan_pool(seen, NOW, DEFAULTS).status
    assert [(one.name, one.version) for one in status.code] == [("a", "2.0.0"), ("b", "1.0.0")]
    assert status.build == "b1"


def _pod(state: dict[str, Any], **status: Any) -> Any:
    return {
        "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"volumes": [{"name": "d", "secret": {"secretName": "perdure-database"}}]},
        "status": {
            "startTime": "2026-01-02T03:04:00Z",
            "containerStatuses": [{"state": state, "ready": False} | status],
        },
    }


def test_a_pod_that_crashes_is_quoted() -> None:
    crashed = _pod(
        {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        lastState={"terminated": {"message": "ValueError: no\n"}},
    )
    assert pod_trouble(crashed, NOW) == PodTrouble("p", "CrashLoopBackOff", "ValueError: no")


def test_a_pod_that_is_being_made_is_no_trouble_until_it_takes_long() -> None:
    creating = _pod({"waiting": {"reason": "ContainerCreating"}})
    assert pod_trouble(creating, NOW) is None
    late = pod_trouble(creating, NOW + timedelta(minutes=1))
    assert late is not None
    assert "perdure-database" in late.message


def test_a_pod_that_cannot_be_placed_says_why() -> None:
    unplaced = _pod({})
    unplaced["status"] = {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes: Insufficient nvidia.com/gpu",
            }
        ]
    }
    found = pod_trouble(unplaced, NOW)
    assert found is not None
    assert found.reason == "Unschedulable"
