"""In scope: that what is lost costs time and nothing else: pods, controllers, the database."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.conftest import Cluster, Manifest

    Orchestration = Callable[..., Manifest]
    Pool = Callable[..., Manifest]

pytestmark = pytest.mark.usefixtures("trial")


def test_an_executor_lost_in_the_middle_costs_an_attempt(
    cluster: Cluster, orchestration: Orchestration, pool: Pool
) -> None:
    tag = f"doomed-{secrets.token_hex(3)}"
    run = orchestration("holding", {"key": (key := secrets.token_hex(4)), "tag": tag})
    cluster.apply(pool(tag, tags=[tag], lock={"timeout": "4s"}), run)
    began = cluster.until("the body runs", lambda: cluster.traces(key))[0]
    cluster.kill(began[2])
    again = cluster.until("it runs again", lambda: cluster.traces(key)[1], seconds=90)
    assert (again[1], again[3]) == ("began", "2")
    assert again[2] != began[2]
    cluster.open_gate(key)
    assert cluster.ended(run["metadata"]["name"])["result"]["inline"] == "held"


def test_an_executor_told_to_go_hands_back_and_no_attempt_is_counted(
    cluster: Cluster, orchestration: Orchestration, pool: Pool
) -> None:
    tag = f"leaving-{secrets.token_hex(3)}"
    run = orchestration("holding", {"key": (key := secrets.token_hex(4)), "tag": tag})
    # A lease far longer than the test: only what was handed back can run again in time.
    leaving = pool(tag, tags=[tag], lock={"timeout": "10m"}, drain={"timeout": "1s"})
    cluster.apply(leaving, run)
    began = cluster.until("the body runs", lambda: cluster.traces(key))[0]
    cluster.kubectl("delete", "pod", began[2], "--wait=false")
    _, stopped, again = cluster.until(
        "it was stopped and runs again",
        lambda: rows if len(rows := cluster.traces(key)) > 2 else None,
    )
    assert stopped[1] == "stopped: shutdown"
    assert (again[1], again[3]) == ("began", "1"), "the handed-back attempt was counted"
    cluster.open_gate(key)
    assert cluster.ended(run["metadata"]["name"])["result"]["inline"] == "held"


@pytest.mark.parametrize("victim", ["replayer", "controller", "postgres"])
def test_twenty_runs_complete_though_what_they_need_is_killed(
    cluster: Cluster, orchestration: Orchestration, victim: str
) -> None:
    steps, key = 15, secrets.token_hex(4)
    runs = [orchestration("chain", {"key": f"{key}-{n:02}", "steps": steps}) for n in range(20)]
    cluster.apply(*runs)
    cluster.until("all are under way", lambda: len(cluster.traces(key)) > 30)
    for pod in cluster.pods(cluster.selectors[victim]):
        cluster.kill(pod["metadata"]["name"])
    names = [run["metadata"]["name"] for run in runs]
    statuses = cluster.all_completed(names, seconds=150)
    assert {one["result"]["inline"] for one in statuses} == {sum(range(1, steps + 1))}
    # One record that it started, one for each completion, one for each turn: nothing twice.
    lengths = cluster.history_lengths({one["instanceId"] for one in statuses})
    assert set(lengths.values()) == {2 + 2 * steps}
    # Nobody crashed over it, apart from who was killed.
    assert not any(cluster.restarts().values())
