"""In scope: what is decided about an Orchestration, from manifest and instance to status.

Out of scope: deletion (`test_plan_deletion.py`), and how things are read and written.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.providers.reading import InstanceStatus, OpenActivity
from perdure.providers.work import Block, CodeId, EnqueueOutcome
from perdure_operator.observed import DatabaseDown, Fleet, InputFault, InputMissing
from perdure_operator.plan.blocks import find_block
from perdure_operator.plan.orchestration import is_settled
from perdure_operator.plan.steps import AddFinalizer, Send, Start, Steer, Urgency
from tests.control.conftest import FLEET, NOW, World, info, manifest


def triple(world: World) -> str:
    """Ready, Reconciling, Stalled as three letters."""
    return "".join(world.condition(one)[0][0] for one in ("Ready", "Reconciling", "Stalled"))


def test_a_new_object_gets_its_finalizer_then_its_instance_then_one_status(world: World) -> None:
    world.settle()
    assert [type(step) for step in world.taken] == [AddFinalizer, Start]
    assert world.status_writes == 1
    assert world.status["phase"] == "Starting"
    assert world.status["instanceId"] == "shop/order/0f0e0d0c/1"
    assert world.status["inputDigest"].startswith("sha256:")
    assert world.notes == ["Started"]


def test_a_run_that_may_end_at_once_is_not_said_to_have_begun(world: World) -> None:
    world.change(world.current, InstanceStatus.RUNNING, created_at=NOW)
    assert world.settle().again == timedelta(seconds=1)
    assert world.status_writes == 0
    world.change(world.current, InstanceStatus.COMPLETED, created_at=NOW)
    world.settle()
    assert world.status_writes == 1
    assert world.notes == ["Started", "Completed"]


def test_looking_again_changes_nothing(running: World) -> None:
    running.lapse(hours=1)
    assert running.plan().status is None
    assert running.plan().steps == ()


def test_a_run_that_nobody_deletes_is_orphaned_without_a_finalizer() -> None:
    world = World(manifest(deletionPolicy="Orphan"))
    world.settle()
    assert [type(step) for step in world.taken] == [Start]


@pytest.mark.parametrize(
    ("status", "spec", "phase", "reason", "ready"),
    [
        (InstanceStatus.RUNNING, {}, "Running", "Running", "FTF"),
        (InstanceStatus.RUNNING, {"readyWhen": "Accepted"}, "Running", "Running", "TFF"),
        (InstanceStatus.SUSPENDED, {}, "Suspended", "SuspendedByApi", "FFF"),
        (InstanceStatus.COMPLETED, {}, "Completed", "Completed", "TFF"),
        (InstanceStatus.FAILED, {}, "Failed", "Failed", "FFT"),
        (InstanceStatus.TIMED_OUT, {}, "TimedOut", "TimedOut", "FFT"),
        (InstanceStatus.CANCELLED, {}, "Cancelled", "CancelledByApi", "FFT"),
        (InstanceStatus.TERMINATED, {}, "Terminated", "TerminatedByApi", "FFT"),
        (InstanceStatus.CANCELLED, {"desiredState": "Cancelled"}, "Cancelled", "Cancelled", "TFF"),
        (
            InstanceStatus.TERMINATED,
            {"desiredState": "Terminated"},
            "Terminated",
            "Terminated",
            "TFF",
        ),
    ],
)
def test_what_the_engine_says_is_what_the_status_shows(  # noqa: PLR0917  a table's columns
    running: World,
    status: InstanceStatus,
    spec: dict[str, Any],
    phase: str,
    reason: str,
    ready: str,
) -> None:
    running.edit(**spec)
    running.change(running.current, status)
    running.settle()
    assert (running.status["phase"], running.status["reason"]) == (phase, reason)
    assert triple(running) == ready
    assert running.status["observedGeneration"] == 2


def test_a_result_is_shown_if_it_is_small_and_measured_if_it_is_not(running: World) -> None:
    running.change(running.current, InstanceStatus.COMPLETED, output=JsonText('{"a":[1,null]}'))
    assert running.settle().urgency is Urgency.TERMINAL
    assert running.status["result"]["inline"] == {"a": [1, None]}
    running.rerun("2")
    running.settle()
    large = JsonText('"' + "x" * 5000 + '"')
    running.change(running.current, InstanceStatus.COMPLETED, output=large)
    running.settle()
    assert running.status["result"]["bytes"] == 5002
    assert "inline" not in running.status["result"]


def test_a_failure_is_shown_within_bounds(running: World) -> None:
    failure = Failure(FailureCategory.APPLICATION, "CardError", "no " * 1000, retryable=False)
    running.change(running.current, InstanceStatus.FAILED, failure=failure)
    running.settle()
    shown = running.status["failure"]
    assert (shown["category"], shown["type"], shown["retryable"]) == (
        *("Application", "CardError"),
        False,
    )
    assert len(shown["message"]) == 1024
    assert running.notes == ["Failed"]


def test_a_settled_object_is_not_even_read(running: World) -> None:
    running.change(running.current, InstanceStatus.COMPLETED)
    running.settle()
    assert is_settled(running.resource)
    running.instances.clear()
    assert running.plan().steps == ()
    assert running.plan().status is None


def test_an_edit_after_the_end_is_acknowledged_though_the_instance_was_pruned(
    running: World,
) -> None:
    running.change(running.current, InstanceStatus.COMPLETED)
    running.settle()
    running.instances.clear()
    running.edit(readyWhen="Accepted")
    running.settle()
    assert running.status["observedGeneration"] == 2
    assert running.status["phase"] == "Completed"
    assert running.status["result"]["inline"] == "hi"
    assert triple(running) == "TFF"
    assert running.taken == []


def test_progress_alone_is_not_urgent(running: World) -> None:
    running.change(running.current, InstanceStatus.RUNNING, custom_status=JsonText('"half"'))
    plan = running.settle()
    assert plan.urgency is Urgency.PROGRESS
    assert running.status["customStatus"]["value"] == '"half"'


# ----------------------------------------------------------------------------- steering


def test_suspending_by_the_spec_and_resuming_by_it(running: World) -> None:
    running.edit(desiredState="Suspended")
    running.settle()
    assert (running.status["phase"], running.status["reason"]) == ("Suspended", "SuspendedBySpec")
    running.edit(desiredState="Running")
    running.settle()
    assert running.status["phase"] == "Running"
    assert [step.command.verb.value for step in running.taken if isinstance(step, Steer)] == [
        "suspend",
        "resume",
    ]


def test_what_somebody_suspended_by_hand_stays_suspended(running: World) -> None:
    running.change(running.current, InstanceStatus.SUSPENDED)
    running.settle()
    running.settle()
    assert running.taken == []
    assert running.status["reason"] == "SuspendedByApi"


def test_what_is_to_be_suspended_from_the_start_is_not_started() -> None:
    world = World(manifest(desiredState="Suspended"))
    world.settle()
    assert world.taken == []
    assert world.status["phase"] == "Suspended"
    world.edit(desiredState="Running")
    world.settle()
    assert world.status["phase"] == "Starting"


def test_cancelling_asks_once_and_shows_it(running: World) -> None:
    running.edit(desiredState="Cancelled")
    running.settle()
    running.settle()
    assert [type(step) for step in running.taken] == [Send]
    assert running.status["phase"] == "Cancelling"


@pytest.mark.parametrize("desired", ["Cancelled", "Terminated"])
def test_what_is_cancelled_before_it_started_never_starts(desired: str) -> None:
    world = World(manifest(desiredState=desired))
    world.settle()
    assert world.taken == []
    assert (world.status["phase"], world.status["reason"]) == (desired, "CancelledBeforeStart")
    assert triple(world) == "TFF"


def test_a_start_carries_a_token_of_the_object_and_the_key(world: World) -> None:
    world.settle()
    (first,) = [step.message.token for step in world.taken if isinstance(step, Start)]
    again = World(manifest())
    again.settle()
    (second,) = [step.message.token for step in again.taken if isinstance(step, Start)]
    again.taken.clear()
    again.change(again.current, InstanceStatus.COMPLETED)
    again.settle()
    again.rerun("2")
    again.settle()
    (third,) = [step.message.token for step in again.taken if isinstance(step, Start)]
    assert first == second != third


# ------------------------------------------------------------------------- another run


def test_a_new_key_runs_again_and_remembers_the_last(running: World) -> None:
    running.change(running.current, InstanceStatus.FAILED)
    running.settle()
    for number in range(2, 9):
        running.rerun(str(number))
        running.settle()
        running.change(running.current, InstanceStatus.COMPLETED)
        running.settle()
    assert running.status["runKey"] == "8"
    runs = running.status["runs"]
    assert [run["key"] for run in runs] == ["7", "6", "5", "4", "3"]
    assert {run["phase"] for run in runs} == {"Completed"}
    assert "failure" not in running.status


def test_a_new_key_waits_for_a_run_that_goes_on(running: World) -> None:
    first = running.current
    running.rerun("2")
    running.settle()
    assert running.taken == []
    assert running.status["runKey"] == "1"
    assert running.status["reason"] == "WaitingForEarlierRun"
    assert triple(running) == "FTF"
    running.change(first, InstanceStatus.COMPLETED)
    running.settle()
    assert running.status["runKey"] == "2"
    assert running.status["phase"] == "Starting"
    assert running.status["runs"][0]["phase"] == "Completed"


@pytest.mark.parametrize(("policy", "step"), [("Cancel", Send), ("Terminate", Steer)])
def test_a_new_key_may_end_the_run_that_goes_on(running: World, policy: str, step: type) -> None:
    running.edit(replacePolicy=policy)
    running.settle()
    first = running.current
    running.rerun("2")
    running.settle()
    assert isinstance(running.taken[0], step)
    running.change(first, InstanceStatus.CANCELLED)
    running.settle()
    assert running.status["runKey"] == "2"


def test_a_run_that_was_lost_is_not_started_again(running: World) -> None:
    running.instances.clear()
    running.settle()
    assert running.taken == []
    assert (running.status["phase"], running.status["reason"]) == ("Failed", "InstanceLost")
    running.rerun("2")
    running.settle()
    assert running.status["phase"] == "Starting"


# ---------------------------------------------------------------------------- identity


def test_a_named_instance_is_the_same_for_every_object() -> None:
    world = World(manifest(instanceId="order-42"))
    assert world.current == "order-42"
    world.rerun("v2")
    assert world.current == "order-42/v2"


def test_a_named_instance_that_is_there_is_taken_over_as_it_is() -> None:
    world = World(manifest(instanceId="order-42"))
    world.change(InstanceId("order-42"), InstanceStatus.COMPLETED)
    world.settle()
    assert not any(isinstance(step, Start) for step in world.taken)
    assert world.status["phase"] == "Completed"
    assert "inputDigest" not in world.status


def test_or_refused_where_the_policy_says_so() -> None:
    world = World(manifest(instanceId="order-42", idPolicy="Reject"))
    world.change(InstanceId("order-42"), InstanceStatus.RUNNING)
    world.settle()
    assert world.condition("Accepted") == ("False", "InstanceExists")
    assert triple(world) == "FFT"
    assert "instanceId" not in world.status


def test_but_not_if_it_was_this_very_object_that_started_it() -> None:
    world = World(manifest(instanceId="order-42", idPolicy="Reject"))
    world.change(InstanceId("order-42"), InstanceStatus.RUNNING)
    world.start = EnqueueOutcome.ACCEPTED  # the token of the start was known already
    assert not any(isinstance(step, Start) for step in world.plan().steps)
    world.body["metadata"]["finalizers"].append("perdure.dev/instance")
    status: Any = world.plan().status
    assert status.phase == "Running"


def test_an_id_fits_whatever_the_names_are() -> None:
    body = manifest(run={"key": "k" * 63})
    body["metadata"] |= {"name": "n" * 253, "namespace": "s" * 63, "uid": "u" * 36}
    assert len(World(body).current) <= 253


# ------------------------------------------------------------------- what is in the way


def test_an_input_that_is_not_there_is_waited_for(world: World) -> None:
    found = world.input
    world.input = InputMissing("there is no ConfigMap 'orders'")
    plan = world.settle()
    assert world.condition("Accepted") == ("False", "InputNotFound")
    assert triple(world) == "FTF"
    assert plan.again is not None
    world.input = found
    world.settle()
    assert world.status["phase"] == "Starting"
    assert world.condition("Accepted") == ("True", "Accepted")


def test_an_input_that_cannot_be_used_is_refused(world: World) -> None:
    world.input = InputFault("spec.run.input is 300,000 bytes")
    world.settle()
    assert world.condition("Accepted") == ("False", "InputInvalid")
    assert "300,000" in world.message("Accepted")
    assert triple(world) == "FFT"
    assert world.taken == []


def test_a_run_that_nobody_can_replay_says_who_is_missing(world: World) -> None:
    world.fleet = Fleet(code=frozenset({CodeId("hallo", "1.0.0")}))
    world.settle()
    assert world.condition("Blocked") == ("True", "NoReplayer")
    assert "'hello'" in world.message("Blocked")
    assert "hallo 1.0.0" in world.message("Blocked")
    assert triple(world) == "FTF"
    world.lapse(minutes=3)
    world.settle()
    assert triple(world) == "FFT"
    world.fleet = FLEET
    world.settle()
    assert world.condition("Blocked") == ("False", "NotBlocked")
    assert triple(world) == "FTF"


def test_a_run_is_given_a_moment_before_it_is_called_blocked(world: World) -> None:
    world.fleet = Fleet()
    world.settle()
    world.change(world.current, InstanceStatus.PENDING, created_at=NOW)
    plan = world.settle()
    assert world.condition("Blocked")[0] == "False"
    assert plan.again is not None
    assert plan.again <= timedelta(seconds=2)


def _waiting(tag: str, *, leased: bool = False) -> OpenActivity:
    return OpenActivity(
        instance=InstanceId("i"),
        operation=OperationId("0:0"),
        name="embed",
        tag=tag,
        attempt=0,
        failures=0,
        leased=leased,
        due_at=NOW,
        queued_at=NOW,
        last_failure=None,
    )


@pytest.mark.parametrize(
    ("tag", "leased", "said"),
    [
        ("gpu", False, "tag gpu: no executor"),
        ("gpu", True, None),
        ("io", False, None),
        ("", False, None),
    ],
)
def test_a_tag_that_nobody_serves_is_named(tag: str, leased: bool, said: str | None) -> None:
    instance = info(InstanceId("i"), InstanceStatus.RUNNING)
    found = find_block(instance, [_waiting(tag, leased=leased)], FLEET, NOW)
    assert (found.waiting_on if found else None) == said


def test_untagged_work_without_a_pool_is_named_too() -> None:
    instance = info(InstanceId("i"), InstanceStatus.RUNNING)
    fleet = Fleet(code=FLEET.code, tags=frozenset({"io"}))
    found = find_block(instance, [_waiting("")], fleet, NOW)
    assert found is not None
    assert "includeUntagged" in found.message


def test_an_activity_whose_code_no_executor_of_its_tag_has_is_named() -> None:
    instance = info(InstanceId("i"), InstanceStatus.RUNNING)
    fleet = Fleet(code=FLEET.code, tags=FLEET.tags, kinds=frozenset({("io", "pack")}))
    found = find_block(instance, [_waiting("io")], fleet, NOW)
    assert found is not None
    assert found.waiting_on == "activity embed: no executor"
    assert "'embed'; they have pack" in found.message


def test_a_run_that_the_engine_parked_is_stalled_at_once(running: World) -> None:
    block = Block("Nondeterminism", "hello.py:3 awaited 'a', history has 'b'")
    running.change(running.current, InstanceStatus.BLOCKED, block=block)
    running.settle()
    assert running.condition("Blocked") == ("True", "Nondeterminism")
    assert triple(running) == "FFT"
    assert running.status["phase"] == "Running"
    assert running.notes == ["Nondeterminism"]


# ------------------------------------------------------------------ without a database


def test_without_a_database_nothing_is_started_and_it_is_said(world: World) -> None:
    world.database = DatabaseDown(NOW - timedelta(seconds=30), "connection refused")
    world.settle()
    assert world.taken == []
    assert world.condition("Blocked") == ("True", "DatabaseUnreachable")
    assert "connection refused" in world.message("Ready")
    world.database = None
    world.settle()
    assert world.status["phase"] == "Starting"


def test_a_short_absence_of_the_database_is_not_worth_a_write(running: World) -> None:
    running.database = DatabaseDown(running.now, "restarting")
    plan = running.settle()
    assert running.status_writes == 0
    assert plan.again is not None


def test_a_longer_one_keeps_what_was_known(running: World) -> None:
    running.database = DatabaseDown(running.now, "restarting")
    running.lapse(seconds=30)
    running.settle()
    assert running.status["phase"] == "Running"
    assert running.status["instanceId"] == running.current
    assert running.condition("Blocked") == ("True", "DatabaseUnreachable")


# --------------------------------------------------------------------------- transitions


def test_a_condition_keeps_its_time_until_it_turns(running: World) -> None:
    before = {one["type"]: one["lastTransitionTime"] for one in running.status["conditions"]}
    running.lapse(minutes=5)
    running.change(running.current, InstanceStatus.COMPLETED)
    running.settle()
    after = {one["type"]: one["lastTransitionTime"] for one in running.status["conditions"]}
    turned = {type_ for type_, at in after.items() if at != before[type_]}
    assert turned == {"Ready", "Reconciling", "Completed"}
