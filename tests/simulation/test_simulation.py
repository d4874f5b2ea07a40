"""A thousand worlds hold, a seed gives the same world again, and planted bugs are found."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest

from perdure.testing.simulation import World
from perdure.testing.simulation.many import run_worlds
from perdure.testing.simulation.planted import BUGS, WORLDS, Bug, worlds_to_find


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_a_thousand_worlds_hold() -> None:
    ran, failures = 0, []
    for number, failed in run_worlds(0, WORLDS, processes=os.cpu_count() or 1):
        ran += number
        failures += failed
    assert (ran, failures) == (WORLDS, [])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_gives_the_same_world_again(seed: int) -> None:
    assert history_of(seed) == history_of(seed)


def history_of(seed: int) -> list[object]:
    world = World(seed)
    world.run()
    rows = world.history()
    assert rows
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=[bug.name for bug in BUGS])
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert worlds_to_find(bug) is not None
