"""In scope: what is decided about an Orchestration that is being deleted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from perdure.providers.reading import InstanceStatus
from perdure_operator.observed import DatabaseDown
from perdure_operator.plan.steps import DeferTermination, RemoveFinalizer, Send, Steer
from tests.control.conftest import World, manifest


def kinds(world: World) -> list[type]:
    return [type(step) for step in world.taken]


def test_an_object_that_started_nothing_just_goes(world: World) -> None:
    world.delete()
    world.settle()
    assert world.taken == []


def test_a_run_that_ended_is_let_go_at_once(running: World) -> None:
    running.change(running.current, InstanceStatus.COMPLETED)
    running.settle()
    running.delete()
    running.settle()
    assert kinds(running) == [RemoveFinalizer]


def test_a_run_is_cancelled_then_waited_for_then_let_go(running: World) -> None:
    running.delete()
    plan = running.settle()
    assert kinds(running) == [Send]
    assert running.status["phase"] == "Cancelling"
    assert plan.again == timedelta(seconds=60)
    running.change(running.current, InstanceStatus.CANCELLED)
    running.settle()
    assert kinds(running) == [Send, RemoveFinalizer]


def test_a_run_that_does_not_end_in_time_is_terminated(running: World) -> None:
    running.edit(deletionGrace="5s")
    running.delete()
    running.settle()
    running.lapse(seconds=6)
    running.settle()
    assert kinds(running) == [Send, Steer, RemoveFinalizer]


def test_terminating_does_not_ask(running: World) -> None:
    running.edit(deletionPolicy="Terminate")
    running.delete()
    running.settle()
    assert kinds(running) == [Steer, RemoveFinalizer]


def test_an_orphan_goes_on(running: World) -> None:
    running.edit(deletionPolicy="Orphan")
    running.delete()
    running.settle()
    assert kinds(running) == [RemoveFinalizer]
    assert running.instances[running.current].status is InstanceStatus.RUNNING


def test_an_earlier_run_that_still_goes_on_ends_too(running: World) -> None:
    running.rerun("2")
    running.settle()
    running.delete()
    running.settle()
    running.lapse(minutes=2)
    running.settle()
    assert kinds(running) == [Send, Steer, RemoveFinalizer]


def test_force_is_force(running: World) -> None:
    running.body["metadata"]["annotations"] = {"perdure.dev/force-finalize": "true"}
    running.database = DatabaseDown(running.now, "gone")
    running.delete()
    running.settle()
    assert kinds(running) == [RemoveFinalizer]


def test_without_a_database_it_waits_no_longer_than_the_grace_and_remembers(
    running: World,
) -> None:
    running.database = DatabaseDown(running.now, "gone")
    running.delete()
    assert running.settle().again is not None
    assert running.taken == []
    running.lapse(seconds=61)
    running.settle()
    assert kinds(running) == [DeferTermination, RemoveFinalizer]
    assert running.notes == ["DatabaseUnreachable"]


@pytest.mark.parametrize("policy", ["Cancel", "Terminate", "Orphan"])
def test_a_deletion_ends_whatever_happens(policy: str) -> None:
    world = World(manifest(deletionPolicy=policy))
    world.settle()
    world.change(world.current, InstanceStatus.RUNNING)
    world.settle()
    world.delete()
    world.settle()
    world.lapse(minutes=2)
    world.settle()
    assert world.body["metadata"]["finalizers"] == []
