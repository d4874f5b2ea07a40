"""A world of one object, in memory: what a plan asks for is done to it, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perdure.model.ids import JsonText
from perdure.model.records import RecordKind
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.work import CodeId, ControlVerb, EnqueueOutcome
from perdure_operator.api.v1alpha1 import OrchestrationResource
from perdure_operator.observe import instances_of
from perdure_operator.observed import DatabaseDown, Fleet, InputText, ObservedOrchestration
from perdure_operator.plan.orchestration import Rules, plan_orchestration
from perdure_operator.plan.steps import (
    AddFinalizer,
    DeferTermination,
    Plan,
    RemoveFinalizer,
    Send,
    Start,
    Steer,
)

if TYPE_CHECKING:
    from perdure.model.ids import InstanceId
    from perdure_operator.observed import RunInput
    from perdure_operator.plan.steps import Step

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

FLEET = Fleet(
    code=frozenset({CodeId("hello", "1.0.0")}),
    tags=frozenset({"", "io"}),
    kinds=frozenset({("", "embed"), ("io", "embed")}),
)


def manifest(**spec: Any) -> dict[str, Any]:
    """An Orchestration as the API server would give it."""
    run = {"orchestration": "hello", "input": {"name": "Ada"}} | spec.pop("run", {})
    return {
        "metadata": {
            "namespace": "shop",
            "name": "order",
            "uid": "0f0e0d0c",
            "generation": 1,
            "finalizers": [],
        },
        "spec": {"run": run} | spec,
        "status": {"observedGeneration": -1},
    }


def info(instance: InstanceId, status: InstanceStatus, **fields: Any) -> InstanceInfo:
    values: dict[str, Any] = {
        "tenant": "shop",
        "name": "hello",
        "version": "1.0.0",
        "execution": 1,
        "created_at": NOW - timedelta(minutes=1),
        "finished_at": NOW if status.is_terminal else None,
        "parent": None,
        "output": JsonText('"hi"') if status is InstanceStatus.COMPLETED else None,
        "failure": None,
        "custom_status": None,
        "custom_status_version": 0,
        "block": None,
        "history_length": 1,
        "cancel_requested": False,
    }
    return InstanceInfo(instance=instance, status=status, **(values | fields))


@dataclass
class World:
    """The object, the instances of the database, and the time."""

    body: dict[str, Any]
    instances: dict[InstanceId, InstanceInfo] = field(default_factory=dict)
    input: RunInput = field(default_factory=lambda: InputText(JsonText('{"name":"Ada"}')))
    fleet: Fleet | None = FLEET
    database: DatabaseDown | None = None
    now: datetime = NOW
    rules: Rules = field(default_factory=Rules)
    taken: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    status_writes: int = 0
    start: EnqueueOutcome | None = None

    @property
    def resource(self) -> OrchestrationResource:
        return OrchestrationResource.model_validate(self.body)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["status"]
        return found

    def condition(self, type_: str) -> tuple[str, str]:
        (found,) = [one for one in self.status["conditions"] if one["type"] == type_]
        return found["status"], found["reason"]

    def message(self, type_: str) -> str:
        (found,) = [one for one in self.status["conditions"] if one["type"] == type_]
        return str(found["message"])

    def see(self) -> ObservedOrchestration:
        found = [self.instances.get(one) for one in instances_of(self.resource)]
        return ObservedOrchestration(
            self.resource,
            input=self.input,
            instance=None if self.database else found[0],
            earlier=None if self.database or len(found) == 1 else found[1],
            start=self.start,
            fleet=self.fleet,
            database=self.database,
        )

    def plan(self) -> Plan:
        return plan_orchestration(self.see(), self.now, self.rules)

    def settle(self) -> Plan:
        """Plan and do, until there is nothing left to do; returns the last plan."""
        self.start = None
        plan = Plan()
        for _ in range(5):
            plan = self.plan()
            self.notes += [note.reason for note in plan.notes]
            if not plan.steps:
                if plan.status is not None:
                    self.status_writes += 1
                    self.body["status"] = plan.status.model_dump(
                        mode="json", by_alias=True, exclude_none=True
                    )
                return plan
            for step in plan.steps:
                self.take(step)
        raise AssertionError(f"not settled after five rounds; the last steps: {plan.steps}")

    def take(self, step: Step) -> None:
        self.taken.append(step)
        finalizers = self.body["metadata"]["finalizers"]
        match step:
            case AddFinalizer():
                finalizers.append("perdure.dev/instance")
            case RemoveFinalizer():
                finalizers.remove("perdure.dev/instance")
            case Start(message):
                new = message.instance not in self.instances
                self.start = EnqueueOutcome.ACCEPTED if new else EnqueueOutcome.EXISTS
                if new:
                    self.change(message.instance, InstanceStatus.PENDING)
            case Send(message):
                assert message.kind is RecordKind.CANCEL_REQUESTED
                old = self.instances[message.instance]
                self.instances[message.instance] = replace(old, cancel_requested=True)
            case Steer(command):
                status = {
                    ControlVerb.SUSPEND: InstanceStatus.SUSPENDED,
                    ControlVerb.RESUME: InstanceStatus.RUNNING,
                    ControlVerb.TERMINATE: InstanceStatus.TERMINATED,
                }[command.verb]
                self.change(command.instance, status)
            case DeferTermination():
                pass
            case _:
                raise AssertionError(step)

    def change(self, instance: InstanceId, status: InstanceStatus, **fields: Any) -> None:
        """Have the engine change an instance."""
        old = self.instances.get(instance)
        kept = {"cancel_requested": old.cancel_requested} if old else {}
        self.instances[instance] = info(instance, status, **(kept | fields))

    @property
    def current(self) -> InstanceId:
        return instances_of(self.resource)[0]

    def edit(self, **spec: Any) -> None:
        """Have a user change the manifest."""
        self.body["spec"] |= spec
        self.body["metadata"]["generation"] += 1

    def rerun(self, key: str, **run: Any) -> None:
        self.edit(run=self.body["spec"]["run"] | {"key": key} | run)

    def delete(self) -> None:
        self.body["metadata"]["deletionTimestamp"] = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def lapse(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def world() -> World:
    return World(manifest())


@pytest.fixture
def running(world: World) -> World:
    """A world whose run is under way, and said to be."""
    world.settle()
    world.change(world.current, InstanceStatus.RUNNING)
    world.settle()
    world.taken.clear()
    world.notes.clear()
    world.status_writes = 0
    return world
