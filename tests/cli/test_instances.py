"""In scope: starting, seeing and steering instances that a runtime runs, on a real Postgres."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import signal
import sys
from typing import TYPE_CHECKING

import asyncpg
import pytest
import yaml

from perdure.cli.exits import ExitCode
from perdure.providers.postgres import PostgresProvider
from perdure.providers.work import ResyncHint, TurnsHint

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli

_BOUND_SECONDS = 20.0


async def _status(cli: Cli, instance: str) -> str:
    return str(json.loads((await cli("get", instance, "-o", "json")).out)["status"])


async def _until(cli: Cli, instance: str, custom_status: str) -> None:
    async with asyncio.timeout(_BOUND_SECONDS):
        while True:
            document = json.loads((await cli("get", instance, "-o", "json")).out)
            if document["customStatus"] == custom_status:
                return


@pytest.mark.usefixtures("served")
async def test_an_instance_is_started_and_its_result_printed(cli: Cli) -> None:
    started = await cli("start", "greet", "name=Ada", "times=2", "--instance-id", "g1")
    assert (started.code, started.out) == (ExitCode.OK, "g1\n")
    result = await cli("result", "g1", "--timeout", "20")
    assert (result.code, result.out) == (ExitCode.OK, '"Hello, Ada! Hello, Ada!"\n')


@pytest.mark.usefixtures("served")
async def test_start_can_wait_and_exits_by_outcome(cli: Cli) -> None:
    well = await cli("start", "greet", "name=Ada", "--wait")
    assert (well.code, json.loads(well.out)) == (ExitCode.OK, "Hello, Ada!")
    failed = await cli("start", "fail", "--wait")
    assert failed.code == ExitCode.FAILED
    assert failed.out == ""
    assert "ended as Failed" in failed.err
    assert "no bread today" in failed.err


@pytest.mark.usefixtures("served")
async def test_an_id_that_is_taken_is_refused(cli: Cli) -> None:
    await cli("start", "greet", "name=Ada", "--instance-id", "g1", "--wait")
    again = await cli("start", "greet", "name=Bob", "--instance-id", "g1")
    assert again.code == ExitCode.USAGE
    assert "g1 exists already" in again.err


@pytest.mark.usefixtures("database", "shop")
async def test_an_instance_that_nobody_will_run_is_started_with_a_warning(cli: Cli) -> None:
    started = await cli("start", "greet", "name=Ada", "--instance-id", "g1")
    assert (started.code, started.out) == (ExitCode.OK, "g1\n")
    assert started.err.startswith("warning: no replayer is alive")
    assert await _status(cli, "g1") == "Pending"
    late = await cli("result", "g1", "--timeout", "0.1")
    assert late.code == ExitCode.TIMED_OUT
    assert (await cli("result", "g1", "--no-wait")).code == ExitCode.TIMED_OUT


@pytest.mark.usefixtures("served")
async def test_a_misspelt_name_is_warned_of_with_those_that_replayers_have(cli: Cli) -> None:
    started = await cli("start", "gret")
    assert "no live replayer has an orchestration 'gret'" in started.err
    assert "greet" in started.err


@pytest.mark.usefixtures("served")
async def test_the_list_filters_and_pages(cli: Cli) -> None:
    for number in range(5):
        await cli("start", "greet", f"name=N{number}", "--instance-id", f"a-{number}", "--wait")
    await cli("start", "fail", "--instance-id", "b-1", "--wait")
    everything = json.loads((await cli("list", "-o", "json")).out)
    assert [one["instance"] for one in everything] == ["b-1", "a-4", "a-3", "a-2", "a-1", "a-0"]
    failed = yaml.safe_load((await cli("list", "--status", "failed", "-o", "yaml")).out)
    assert ["no bread today" in one["failure"]["message"] for one in failed] == [True]
    page = await cli("list", "--prefix", "a-", "--limit", "2")
    assert [line.split()[0] for line in page.out.splitlines()] == ["INSTANCE", "a-4", "a-3"]
    assert "more than 2" in page.err
    assert len((await cli("list", "--name", "greet", "--limit", "0")).out.splitlines()) == 6
    nothing = await cli("list", "--prefix", "z")
    assert (nothing.code, nothing.out) == (ExitCode.OK, "")


@pytest.mark.usefixtures("served")
async def test_get_shows_the_failure_and_wide_its_traceback(cli: Cli) -> None:
    await cli("start", "fail", "what=[cake]", "--instance-id", "f1", "--wait")
    shown = (await cli("get", "f1")).out
    assert "Failed" in shown
    assert "no [cake] today" in shown
    assert "Traceback" not in shown
    assert "Traceback" in (await cli("get", "f1", "-o", "wide")).out


@pytest.mark.usefixtures("served")
async def test_an_event_wakes_the_instance_that_waits_for_it(cli: Cli) -> None:
    await cli("start", "wait", "--instance-id", "w1")
    await _until(cli, "w1", "waiting for a word")
    assert "event word  waiting" in (await cli("tree", "w1")).out
    raised = await cli("event", "raise", "w1", "word", '{"by": "ada"}')
    assert (raised.code, raised.out) == (ExitCode.OK, "w1: event word raised\n")
    assert json.loads((await cli("result", "w1")).out) == {"by": "ada"}
    late = await cli("event", "raise", "w1", "word")
    assert late.code == ExitCode.USAGE
    assert "ended as Completed" in late.err


@pytest.mark.usefixtures("served")
async def test_an_event_may_come_before_the_start(cli: Cli) -> None:
    kept = await cli("event", "raise", "w1", "word", "--data", '{"early": true}', "--ahead")
    assert kept.out == "w1: event word kept for its start\n"
    started = await cli("start", "wait", "--instance-id", "w1", "--wait")
    assert json.loads(started.out) == {"early": True}


@pytest.mark.usefixtures("served")
async def test_cancel_and_terminate_end_an_instance(cli: Cli) -> None:
    for instance, verb, status in (
        ("w1", "cancel", "Cancelled"),
        ("w2", "terminate", "Terminated"),
    ):
        await cli("start", "wait", "--instance-id", instance)
        done = await cli(verb, instance, "--reason", "enough")
        assert done.code == ExitCode.OK, done.err
        result = await cli("result", instance, "--timeout", "20")
        assert result.code == ExitCode.FAILED
        assert f"ended as {status}" in result.err
        assert (await cli(verb, instance)).code == ExitCode.USAGE


@pytest.mark.usefixtures("served")
async def test_one_that_has_ended_does_not_keep_the_others_from_being_terminated(cli: Cli) -> None:
    await cli("start", "greet", "name=Ada", "--instance-id", "g1", "--wait")
    await cli("start", "wait", "--instance-id", "w1")
    done = await cli("terminate", "g1", "w1")
    assert done.code == ExitCode.USAGE
    assert done.out == "w1: terminated\n"
    assert "g1 has ended" in done.err


@pytest.mark.usefixtures("served")
async def test_a_suspended_instance_goes_on_when_resumed(cli: Cli) -> None:
    await cli("start", "wait", "--instance-id", "w1")
    await _until(cli, "w1", "waiting for a word")
    assert (await cli("suspend", "w1")).out == "w1: suspended\n"
    assert await _status(cli, "w1") == "Suspended"
    assert (await cli("suspend", "w1")).out == "w1: nothing to suspend\n"
    await cli("event", "raise", "w1", "word", "{}")
    waited = await cli("result", "w1", "--timeout", "0.3")
    assert waited.code == ExitCode.TIMED_OUT
    assert waited.err.endswith("it is Suspended until resumed: perdure resume w1\n")
    assert (await cli("resume", "w1")).out == "w1: resumed\n"
    assert (await cli("result", "w1", "--timeout", "20")).code == ExitCode.OK


@pytest.mark.usefixtures("served")
async def test_the_tree_shows_children_and_how_each_step_went(cli: Cli) -> None:
    await cli("start", "parent", "--instance-id", "p1", "--wait")
    drawn = (await cli("tree", "p1")).out
    assert drawn.splitlines()[0] == "p1  parent  Completed"
    assert drawn.count("greet  Completed") == 2
    assert drawn.count("activity add  completed") == 2
    assert "timer 10ms  fired" in drawn
    cut = (await cli("tree", "p1", "--depth", "0")).out
    assert "has children" in cut
    document = json.loads((await cli("tree", "p1", "-o", "json")).out)
    assert [child["name"] for child in document["children"]] == ["greet", "greet"]


@pytest.mark.usefixtures("served")
async def test_history_shows_events_or_the_records_beneath(cli: Cli) -> None:
    await cli("start", "greet", "name=Ada", "--instance-id", "g1", "--wait")
    events = json.loads((await cli("history", "g1", "-o", "json")).out)
    kinds = [event["kind"] for event in events]
    assert kinds == [
        "OrchestrationStarted",
        "ActivityScheduled",
        "ActivityCompleted",
        "OrchestrationCompleted",
    ]
    table = (await cli("history", "g1", "--tail", "1")).out.splitlines()
    assert len(table) == 2
    assert "OrchestrationCompleted" in table[1]
    records = json.loads((await cli("history", "g1", "--raw", "-o", "json")).out)
    assert [record["kind"] for record in records] == [
        "STARTED",
        "TURN",
        "ACTIVITY_COMPLETED",
        "TURN",
    ]
    assert [record["seq"] for record in records] == [1, 2, 3, 4]


@pytest.mark.usefixtures("served")
async def test_watch_follows_an_instance_to_its_end(cli: Cli) -> None:
    await cli("start", "wait", "--instance-id", "w1")
    watching = asyncio.ensure_future(cli("watch", "w1", "-o", "json"))
    await _raised_by_another_process("w1")
    ended = await watching
    assert ended.code == ExitCode.OK, ended.err
    kinds = [json.loads(line)["kind"] for line in ended.out.splitlines()]
    assert kinds[0] == "OrchestrationStarted"
    assert kinds[-1] == "OrchestrationCompleted"
    await cli("start", "fail", "--instance-id", "f1")
    failed = await cli("watch", "f1")
    assert failed.code == ExitCode.FAILED
    assert failed.out.splitlines()[-1].startswith("Failed after")


async def _raised_by_another_process(instance: str) -> None:
    words = (sys.executable, "-m", "perdure.cli.main", "event", "raise", instance, "word", "{}")
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
    assert await process.wait() == ExitCode.OK


@pytest.mark.usefixtures("served")
async def test_watch_tells_of_every_change_until_interrupted(cli: Cli) -> None:
    await cli("start", "wait", "--instance-id", "w1")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "perdure.cli.main", "watch", "--name", "wait", "-o", "json"),
        *("--interval", "0.1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    seen: list[str] = []
    async with asyncio.timeout(_BOUND_SECONDS):
        async for line in process.stdout:
            status = json.loads(line)["status"]
            if not seen:
                await cli("terminate", "w1")
            seen.append(status)
            if status == "Terminated":
                break
    process.send_signal(signal.SIGINT)
    _, said = await process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in said


async def test_the_schema_is_made_and_checked(cli: Cli, database_url: str) -> None:
    before = await cli("db", "status", "--database-url", database_url)
    assert before.code == ExitCode.UNREACHABLE
    assert "perdure db migrate" in before.err
    made = await cli("db", "migrate", "--database-url", database_url)
    assert made.code == ExitCode.OK, made.err
    after = await cli("db", "status", "--database-url", database_url, "-o", "json")
    assert after.code == ExitCode.OK
    assert json.loads(after.out)["isCurrent"] is True
    checked = await cli("db", "check", "--database-url", database_url)
    assert (checked.code, checked.out) == (
        ExitCode.OK,
        "Schema perdure is as this release makes it\n",
    )


async def test_what_was_changed_by_hand_is_found(cli: Cli, database_url: str) -> None:
    before = await cli("db", "check", "--database-url", database_url, "-o", "json")
    assert before.code == ExitCode.UNREACHABLE
    assert "table instance" in json.loads(before.out)["missing"]


async def test_a_data_file_is_sent_whole(cli: Cli, served: str, tmp_path: Path) -> None:
    del served
    path = tmp_path / "word.json"
    path.write_text('{"zoë": 1}', encoding="utf-8")
    await cli("start", "wait", "--instance-id", "w1")
    await cli("event", "raise", "w1", "word", "--data", f"@{path}")
    assert json.loads((await cli("result", "w1")).out) == {"zoë": 1}


async def test_a_command_tells_those_who_wait_before_it_ends(cli: Cli, database: str) -> None:
    async with PostgresProvider(database) as provider, asyncio.timeout(_BOUND_SECONDS):
        hints = provider.hints()
        assert await anext(hints) == ResyncHint()  # from here on it listens
        await cli("start", "greet", "name=Ada")
        assert await anext(hints) == TurnsHint()


@pytest.mark.usefixtures("served")
async def test_pools_show_who_is_alive_and_what_waits(cli: Cli) -> None:
    shown = (await cli("pools")).out
    assert re.search(r"^here +replayer .*fail,greet,parent,wait$", shown, re.MULTILINE)
    document = json.loads((await cli("pools", "-o", "json")).out)
    assert "here" in [one["name"] for one in document["executors"]]


@pytest.mark.usefixtures("served")
async def test_code_is_checked_against_what_runs(cli: Cli, shop: Path) -> None:
    await cli("start", "greet", "name=Ada", "--instance-id", "g1", "--wait")
    await cli("start", "wait", "--instance-id", "w1")
    await _until(cli, "w1", "waiting for a word")
    agreed = await cli("replay", "shop.py", "-o", "json")
    assert agreed.code == ExitCode.OK, agreed.err
    assert [(one["instance"], one["agrees"]) for one in json.loads(agreed.out)] == [("w1", True)]
    changed = (shop / "shop.py").read_text().replace('wait_event("word"', 'wait_event("deed"')
    (shop / "other.py").write_text(changed.replace("async def greet", "async def welcome"))
    diverged = await cli("replay", "other.py", "w1", "g1")
    assert diverged.code == ExitCode.FAILED
    assert re.search(r"^w1 .*diverges .*other\.py", diverged.out, re.MULTILINE)
    assert re.search(r"^g1 .*no code", diverged.out, re.MULTILINE)


@pytest.mark.usefixtures("served")
async def test_a_saved_history_is_replayed_without_a_database(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cli("start", "parent", "--instance-id", "p1", "--wait")
    saved = tmp_path / "p1.json"
    saved.write_text((await cli("history", "p1", "--raw", "-o", "json")).out)
    monkeypatch.delenv("PERDURE_DATABASE_URL")
    ended = await cli("replay", "shop.py", "--file", str(saved))
    assert ended.code == ExitCode.OK, ended.out + ended.err
    assert re.search(r"^p1 +\d+ +agrees$", ended.out, re.MULTILINE)
    saved.write_text("{}")
    assert (await cli("replay", "shop.py", "-f", str(saved))).code == ExitCode.USAGE


async def test_tags_are_granted_to_roles(cli: Cli, database_url: str) -> None:
    role = f"role_{secrets.token_hex(6)}"
    there = ("--database-url", database_url)
    connection = await asyncpg.connect(database_url)
    try:
        await cli("db", "migrate", *there)
        await connection.execute(f"create role {role}")
        granted = await cli("db", "grant-tag", role, "gpu", "cpu", "--untagged", *there)
        assert (granted.code, granted.out) == (
            ExitCode.OK,
            f"{role}: may take gpu, cpu, (untagged)\n",
        )
        read = "select tag from perdure.tag_grant where role = $1::text::name order by tag"
        assert [row["tag"] for row in await connection.fetch(read, role)] == ["", "cpu", "gpu"]
        taken = await cli("db", "grant-tag", role, "--none", *there)
        assert taken.out == f"{role}: may take nothing\n"
        assert await connection.fetch(read, role) == []
        for words in ((role,), (role, "gpu", "--none"), (role, "a,b"), ("nobody_there", "gpu")):
            assert (await cli("db", "grant-tag", *words, *there)).code == ExitCode.USAGE
        assert (
            await cli("db", "grant-tag", role, "gpu", "--database-url", "sqlite://")
        ).code == ExitCode.USAGE
    finally:
        await connection.execute(f"drop role if exists {role}")
        await connection.close()


@pytest.mark.usefixtures("database", "shop")
async def test_many_are_steered_and_removed_on_postgres(cli: Cli, tmp_path: Path) -> None:
    for instance in ("w1", "w2"):
        words = ("--attribute", "team=red", "--limit", "gpu", "--instance-id", instance)
        assert (await cli("start", "wait", *words)).code == ExitCode.OK
    assert (await cli("limit", "set", "gpu", "--concurrency", "1")).code == ExitCode.OK
    assert json.loads((await cli("stats", "-o", "json")).out)["instances"] == {"Pending": 2}
    chosen = ("--attribute", "team=red", "--yes")
    assert (await cli("suspend", *chosen)).out == "2 instances suspended\n"
    assert (await cli("terminate", *chosen)).out == "2 instances terminated\n"
    saved = str(tmp_path / "saved.jsonl")
    assert (await cli("export", "--all", "-f", saved)).code == ExitCode.OK
    assert (await cli("delete", "--all", "--yes")).out == "2 instances deleted\n"
    assert (await cli("import", saved)).out == "Instances: 2 imported\n"
    assert (await cli("rerun", "w1", "--id", "w3")).out == "w3\n"
    retired = await cli("retire", "--older-than", "0s", "--yes")
    assert retired.out.startswith("2 trees deleted: 2 instances, ")
    assert json.loads((await cli("get", "w3", "-o", "json")).out)["attributes"] == {"team": "red"}
