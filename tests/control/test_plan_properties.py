"""In scope: what holds of every plan, whatever users and the engine do, in whatever order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perdure.providers.reading import InstanceStatus
from perdure_operator.observed import DatabaseDown, Fleet, InputFault, InputMissing
from perdure_operator.plan.situation import TERMINAL_PHASES
from perdure_operator.plan.steps import Start
from tests.control.conftest import World, manifest

_EDITS = [
    {"desiredState": "Suspended"},
    {"desiredState": "Running"},
    {"desiredState": "Cancelled"},
    {"desiredState": "Terminated"},
    {"readyWhen": "Accepted"},
    {"replacePolicy": "Terminate"},
    {"replacePolicy": "Cancel"},
    {"deletionPolicy": "Orphan"},
]

_happenings = st.one_of(
    st.tuples(st.just("edit"), st.sampled_from(_EDITS)),
    st.tuples(st.just("rerun"), st.sampled_from(["1", "2", "3"])),
    st.tuples(st.just("engine"), st.sampled_from(list(InstanceStatus))),
    st.tuples(st.just("database"), st.booleans()),
    st.tuples(st.just("fleet"), st.booleans()),
    st.tuples(st.just("time"), st.sampled_from([1, 60, 3600])),
    st.tuples(st.just("input"), st.sampled_from(["there", "missing", "bad"])),
    st.tuples(st.just("delete"), st.none()),
    st.tuples(st.just("crash"), st.none()),
)

_specs = st.fixed_dictionaries(
    {},
    optional={
        "instanceId": st.just("order-42"),
        "idPolicy": st.sampled_from(["Reject", "Attach"]),
        "deletionPolicy": st.sampled_from(["Cancel", "Terminate", "Orphan"]),
    },
)


def _happen(world: World, what: str, detail: Any) -> None:  # noqa: C901  one table
    match what:
        case "edit":
            world.edit(**detail)
        case "rerun":
            world.rerun(detail)
        case "engine":
            old = world.instances.get(world.current)
            if old is not None and not old.status.is_terminal:
                world.change(world.current, detail)
        case "database":
            world.database = DatabaseDown(world.now, "away") if detail else None
        case "fleet":
            world.fleet = Fleet() if detail else None
        case "time":
            world.lapse(seconds=detail)
        case "input":
            found = World(manifest()).input
            world.input = {
                "there": found,
                "missing": InputMissing("gone"),
                "bad": InputFault("bad"),
            }[detail]
        case "delete":
            world.delete()
        case _:  # "crash": the controller took the first step of its plan and no more
            world.start = None
            for step in world.plan().steps[:1]:
                world.take(step)


@given(spec=_specs, happenings=st.lists(_happenings, max_size=12))
def test_a_plan_that_is_carried_out_leaves_nothing_to_do(
    spec: dict[str, Any], happenings: list[tuple[str, Any]]
) -> None:
    world = World(manifest(**spec))
    world.settle()
    for what, detail in happenings:
        _happen(world, what, detail)
        world.settle()
        written, taken = world.status_writes, len(world.taken)
        world.settle()
        assert world.status_writes == written
        starts = [step for step in world.taken[taken:] if not isinstance(step, Start)]
        assert starts == []


@given(spec=_specs, happenings=st.lists(_happenings, max_size=12))
def test_a_key_is_run_once_whatever_happens(
    spec: dict[str, Any], happenings: list[tuple[str, Any]]
) -> None:
    world = World(manifest(**spec))
    accepted: list[object] = []
    for what, detail in [("time", 1), *happenings]:
        _happen(world, what, detail)
        before = set(world.instances)
        world.settle()
        accepted += set(world.instances) - before
    assert len(accepted) == len(set(accepted))
    assert len({step.message.token for step in world.taken if isinstance(step, Start)}) <= 3


@given(spec=_specs, happenings=st.lists(_happenings, max_size=12))
def test_a_status_never_speaks_with_two_tongues(
    spec: dict[str, Any], happenings: list[tuple[str, Any]]
) -> None:
    world = World(manifest(**spec))
    for what, detail in [("time", 1), *happenings]:
        _happen(world, what, detail)
        world.settle()
        if "conditions" not in world.status:
            continue
        ready, reconciling, stalled = (
            world.condition(one)[0] == "True" for one in ("Ready", "Reconciling", "Stalled")
        )
        assert ready + reconciling + stalled <= 1
        if world.status.get("phase") in TERMINAL_PHASES:
            assert not reconciling
        assert len(str(world.status)) < 8192
