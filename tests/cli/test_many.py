"""In scope: choosing instances by conditions, and what is asked before many are steered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from perdure.cli.exits import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli

pytestmark = pytest.mark.usefixtures("stored")


async def _start(
    cli: Cli, *instances: str, name: str = "wait", words: tuple[str, ...] = ()
) -> None:
    for instance in instances:
        started = await cli("start", name, "--instance-id", instance, *words)
        assert started.code == ExitCode.OK, started.err


async def _ids(cli: Cli, *words: str) -> list[str]:
    listed = await cli("list", *words, "-o", "json")
    assert listed.code == ExitCode.OK, listed.err
    return [one["instance"] for one in json.loads(listed.out)]


async def test_the_list_is_filtered_by_every_condition(cli: Cli) -> None:
    await _start(cli, "a-1", words=("--attribute", "team=red", "--version", "1.0.0"))
    await _start(cli, "a-2", words=("--attribute", "team=blue", "--attribute", "size=3"))
    await _start(cli, "b-1", name="greet")
    assert await _ids(cli, "--attribute", "team=blue", "--attribute", "size=3") == ["a-2"]
    assert await _ids(cli, "--version", "1.0.0") == ["a-1"]
    assert await _ids(cli, "--name", "greet", "--roots") == ["b-1"]
    assert await _ids(cli, "--since", "1h") == ["b-1", "a-2", "a-1"]
    assert await _ids(cli, "--until", "1h") == []
    assert await _ids(cli, "--since", "2000-01-01", "--until", "2100-01-01T12:00+02:00") != []
    assert await _ids(cli, "--ended-since", "2000-01-01") == []
    assert await _ids(cli, "--parent", "a-1") == []
    assert "team" in (await cli("list", "-o", "wide")).out


async def test_the_list_counts(cli: Cli) -> None:
    await _start(cli, "a-1", "a-2")
    await cli("terminate", "a-1")
    counted = json.loads((await cli("list", "--count", "-o", "json")).out)
    assert counted == {"total": 2, "byStatus": {"Pending": 1, "Terminated": 1}}
    assert (await cli("list", "--count", "--prefix", "a-2")).out.split() == [
        *("STATUS", "INSTANCES", "Pending", "1", "total", "1")
    ]


async def test_a_condition_that_cannot_be_is_refused(cli: Cli) -> None:
    for words, said in (
        (("--since", "tomorrow"), "is no time"),
        (("--attribute", "team"), "write NAME=VALUE"),
        (("--status", "Happy"), "There is no status Happy"),
    ):
        refused = await cli("list", *words)
        assert refused.code == ExitCode.USAGE
        assert said in refused.err


async def test_many_are_shown_and_then_steered(cli: Cli) -> None:
    await _start(cli, "a-1", "a-2", "b-1")
    looked = await cli("terminate", "--prefix", "a-", "--dry-run")
    assert (looked.code, looked.out) == (ExitCode.OK, "")
    assert "2 instances to be terminated: 2 Pending" in looked.err
    assert "a-2" in looked.err
    assert await _ids(cli, "--status", "Terminated") == []
    done = await cli("terminate", "--prefix", "a-", "--yes", "--reason", "enough")
    assert (done.code, done.out) == (ExitCode.OK, "2 instances terminated\n")
    assert sorted(await _ids(cli, "--status", "Terminated")) == ["a-1", "a-2"]
    assert "0 instances" in (await cli("terminate", "--prefix", "a-", "--yes")).err


async def test_without_yes_and_without_a_terminal_nothing_is_done(cli: Cli) -> None:
    await _start(cli, "a-1")
    refused = await cli("suspend", "--name", "wait")
    assert refused.code == ExitCode.USAGE
    assert "say --yes" in refused.err
    assert await _ids(cli, "--status", "Suspended") == []


async def test_everything_is_meant_only_where_it_is_said(cli: Cli) -> None:
    await _start(cli, "a-1", "a-2")
    for words in ((), ("a-1", "--name", "wait"), ("a-1", "--all")):
        assert (await cli("suspend", *words, "--yes")).code == ExitCode.USAGE
    assert (await cli("suspend", "--all", "--yes")).out == "2 instances suspended\n"
    assert (await cli("resume", "--status", "suspended", "--yes")).out == "2 instances resumed\n"
    assert (await cli("cancel", "--all", "--yes")).out == "2 instances asked to cancel\n"
    none = await cli("resume", "--status", "Completed", "--yes")
    assert none.code == ExitCode.USAGE
    assert "Suspended, Blocked" in none.err


async def test_a_tree_is_deleted_once_it_has_ended(cli: Cli) -> None:
    await _start(cli, "a-1", "a-2", "a-3")
    running = await cli("delete", "a-1")
    assert running.code == ExitCode.USAGE
    assert "has not ended" in running.err
    assert (await cli("delete", "a-1", "--force")).out.startswith("a-1: deleted, ")
    assert (await cli("delete", "a-1")).code == ExitCode.NOT_FOUND
    await cli("terminate", "a-2")
    assert (await cli("delete", "--all", "--force", "--yes")).code == ExitCode.USAGE
    assert (await cli("delete", "--all", "--yes")).out == "1 instance deleted\n"
    assert await _ids(cli) == ["a-3"]


async def test_what_ended_long_ago_is_retired(cli: Cli) -> None:
    await _start(cli, "a-1", "a-2", "b-1")
    await cli("terminate", "a-1", "a-2")
    assert (await cli("retire", "--yes")).code == ExitCode.USAGE
    assert "0 instances" in (await cli("retire", "--older-than", "30d", "--yes")).err
    looked = await cli("retire", "--older-than", "0s", "--dry-run")
    assert "2 instances to be deleted" in looked.err
    one = await cli("retire", "--older-than", "0s", "--limit", "1", "--yes")
    assert one.out.startswith("1 tree deleted: 1 instance, ")
    rest = await cli("retire", "--before", "2100-01-01", "--status", "terminated", "--yes")
    assert rest.out.startswith("1 tree deleted: 1 instance, ")
    assert await _ids(cli) == ["b-1"]


async def test_instances_are_carried_to_another_database(
    cli: Cli, stored: str, tmp_path: Path
) -> None:
    await _start(cli, "a-1", "a-2")
    await cli("terminate", "a-1")
    saved = tmp_path / "saved.jsonl"
    written = await cli("export", "--name", "wait", "-f", str(saved))
    assert (written.code, written.out) == (ExitCode.OK, "")
    assert "2 instances written" in written.err
    one = await cli("export", "a-1")
    assert [json.loads(line)["type"] for line in one.out.splitlines()][:2] == ["instance", "record"]
    other = ("--database-url", f"{stored}.other")
    brought = await cli("import", str(saved), *other)
    assert brought.code == ExitCode.FAILED
    assert brought.out == "Instances: 1 imported, 1 left, for they have not ended\n"
    assert "a-2" in brought.err
    again = await cli("import", str(saved), "-o", "json", *other)
    assert json.loads(again.out) == {"a-1": "exists", "a-2": "unfinished"}
    there = json.loads((await cli("get", "a-1", "-o", "json", *other)).out)
    assert there["status"] == "Terminated"
    saved.write_text("{}\n")
    assert (await cli("import", str(saved), *other)).code == ExitCode.USAGE
    assert (await cli("import", "nowhere.jsonl", *other)).code == ExitCode.USAGE
    assert (await cli("export", "nobody", "-f", str(saved))).code == ExitCode.NOT_FOUND
    assert saved.read_text() == "{}\n"


async def test_limits_are_set_seen_and_lifted(cli: Cli) -> None:
    assert (await cli("limit", "set", "gpu")).code == ExitCode.USAGE
    assert (await cli("limit", "set", "gpu", "--concurrency", "1")).out == "gpu: limit set\n"
    assert (await cli("limit", "set", "mail", "--rate", "9", "--per", "1m")).code == ExitCode.OK
    await _start(cli, "a-1", "a-2", words=("--limit", "gpu"))
    limits = json.loads((await cli("limit", "list", "-o", "json")).out)
    assert [(one["key"], one["running"], one["waiting"]) for one in limits] == [
        ("gpu", 1, 1),
        ("mail", 0, 0),
    ]
    assert "9 in 1m00s" in (await cli("limit", "list")).out
    assert "waits for limit gpu" in (await cli("list")).out
    assert "gpu, waits to be admitted" in (await cli("get", "a-2")).out
    stats = json.loads((await cli("stats", "-o", "json")).out)
    assert stats["instances"] == {"Pending": 2}
    assert [one["key"] for one in stats["limits"]] == ["gpu", "mail"]
    shown = await cli("stats")
    assert "instances Pending" in shown.out
    assert "AT ONCE" in shown.out
    assert (await cli("limit", "set", "gpu", "--concurrency", "0")).code == ExitCode.OK
    assert (await cli("limit", "delete", "gpu", "mail")).code == ExitCode.OK
    assert (await cli("limit", "list")).out == ""


async def test_a_start_takes_options(cli: Cli) -> None:
    options = ("--priority", "7", "--run-timeout", "2h", "--attribute", "vip=true")
    await _start(cli, "a-1", words=options)
    (started,) = json.loads((await cli("history", "a-1", "--raw", "-o", "json")).out)
    assert started["body"]["priority"] == 7
    assert started["body"]["timeout"] in {7200, "PT2H", 7_200_000, 7_200_000_000}
    shown = json.loads((await cli("get", "a-1", "-o", "json")).out)
    assert shown["attributes"] == {"vip": True}
    assert shown["size"]["records"] == 1
    assert "records of" in (await cli("get", "a-1", "-o", "wide")).out
    for words in (("--priority", "101"), ("--run-timeout", "soon"), ("--attribute", "vip=[1]")):
        assert (await cli("start", "wait", *words)).code == ExitCode.USAGE


async def test_a_long_name_makes_an_id_that_can_be(cli: Cli) -> None:
    started = await cli("start", "n" * 253)
    assert started.code == ExitCode.OK, started.err
    assert len(started.out.strip()) == 253
    refused = await cli("start", "n" * 254)
    assert refused.code == ExitCode.USAGE
    assert "253" in refused.err


async def test_it_is_started_again_as_it_was(cli: Cli) -> None:
    words = ("name=Ada", "times=2", "--attribute", "vip=true", "--priority", "3", "--limit", "gpu")
    await _start(cli, "g1", name="greet", words=words)
    again = await cli("rerun", "g1", "--id", "g2")
    assert (again.code, again.out) == (ExitCode.OK, "g2\n")
    first, second = [
        json.loads((await cli("history", one, "--raw", "-o", "json")).out)[0]["body"]
        for one in ("g1", "g2")
    ]
    assert first == second
    shown = json.loads((await cli("get", "g2", "-o", "json")).out)
    assert (shown["attributes"], shown["limit"]) == ({"vip": True}, "gpu")
    assert (await cli("rerun", "g1", "--id", "g2")).code == ExitCode.USAGE
    assert (await cli("rerun", "nobody")).code == ExitCode.NOT_FOUND
