"""In scope: that a measurement measures what it says, and the document it prints.

Out of scope: how fast anything is; a test that fails on a busy machine tells nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perdure.cli.bench.measurement import json_schema, latency
from perdure.cli.bench.workloads import WORKLOADS
from perdure.cli.exits import ExitCode

if TYPE_CHECKING:
    from perdure.testing.postgres import EmbeddedPostgres
    from tests.cli.conftest import Cli

_ROOT = Path(__file__).resolve().parents[2]
_SMALL = {"W1": 40, "W1lat": 3, "W2": 5, "W3": 20, "W4": 20, "W5": 5, "W5rate": 5, "W6": 2}
_SMALL |= {"W7": 1, "W8": 5}


def test_percentiles_are_samples_that_were_seen() -> None:
    taken = latency([0.004, 0.001, 0.003, 0.002])
    assert (taken.p50, taken.p90, taken.p99) == (2.0, 4.0, 4.0)
    assert latency([0.005]).p50 == 5.0


def test_the_document_is_the_one_that_readers_were_promised() -> None:
    promised = json.loads((_ROOT / "benchmarks" / "measurement.schema.json").read_text())
    assert json_schema() == promised, "a field changed: write the new schema, and tell in CHANGELOG"


def test_every_workload_is_on_the_page() -> None:
    page = (_ROOT / "docs" / "benchmarks.md").read_text()
    for workload in WORKLOADS.values():
        assert f"| {workload.name} | {workload.n:,} |" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKLOADS)
async def test_a_workload_runs_and_fills_every_field(
    cli: Cli, postgres_server: EmbeddedPostgres, name: str
) -> None:
    n = _SMALL[name]
    url = postgres_server.url
    ended = await cli("bench", name, "--n", str(n), "-o", "json", "--database-url", url)
    assert ended.code == ExitCode.OK, ended.err
    (document,) = [json.loads(line) for line in ended.out.splitlines()]
    promised = json.loads((_ROOT / "benchmarks" / "measurement.schema.json").read_text())
    assert set(document) == set(promised["properties"])
    assert (document["workload"], document["n"]) == (name, n)
    assert document["seconds"] > 0
    if name != "W7":
        assert document["transactions"] > 0
        assert document["wal_bytes"] > 0
    assert document["cpu_seconds"]["replay"] is not None
    assert document["versions"]["postgres"]
    assert document["settings"]["fsync"] == "off"


async def test_a_workload_that_is_none_is_told_which_there_are(cli: Cli) -> None:
    ended = await cli("bench", "W99")
    assert ended.code == ExitCode.USAGE
    assert "W1lat" in ended.err
