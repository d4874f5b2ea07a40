"""In scope: talking with the code of running instances: queries, updates, queues, keys, tokens."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from perdure.cli.exits import ExitCode
from perdure.cli.loading import load_app
from perdure.executor import LocalRuntime
from perdure.providers.opening import open_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.cli.conftest import Cli

_CART = """
import asyncio
from datetime import timedelta

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity
async def approve(ctx: ActivityContext, name: str) -> str:
    with open(name, "w") as file:
        file.write(ctx.defer(within=timedelta(minutes=1)))
    return ""


@orchestration
async def cart(ctx: OrchestrationContext) -> list[str]:
    lines: list[str] = []

    @ctx.query
    def count(prefix: str = "") -> int:
        return sum(line.startswith(prefix) for line in lines)

    @ctx.update
    def add(item: str) -> int:
        if item == "stone":
            raise ValueError("too heavy")
        lines.append(item)
        return len(lines)

    ctx.kv["state"] = {"open": True}
    async for item in ctx.queue("items", str):
        if item == "end":
            break
        lines.append(item)
    ctx.kv["receipt"] = {"lines": len(lines)}
    return lines


@orchestration
async def ask(ctx: OrchestrationContext, file: str) -> str:
    return await approve(file)


@orchestration
async def count(ctx: OrchestrationContext, left: int) -> str:
    if left:
        await ctx.continue_as_new(left=left - 1)
    return "done"
"""


@pytest.fixture
async def shop(stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Path]:
    """A folder with a module whose instances are run."""
    (tmp_path / "cart.py").write_text(_CART)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(open_provider(stored))
        app = load_app(str(tmp_path / "cart.py"))
        await stack.enter_async_context(LocalRuntime(provider, app.registry))
        yield tmp_path


@pytest.mark.usefixtures("shop")
async def test_an_instance_is_asked_and_told(cli: Cli) -> None:
    await cli("start", "cart", "--instance-id", "c1")
    added = await cli("update", "c1", "add", "item=tea", "--update-id", "u1")
    assert (added.code, added.out) == (ExitCode.OK, "1\n"), added.err
    same = await cli("update", "c1", "add", "item=tea", "--update-id", "u1")
    assert same.out == "1\n"
    refused = await cli("update", "c1", "add", "--input", '{"item": "stone"}')
    assert refused.code == ExitCode.FAILED
    assert "too heavy" in refused.err
    later = await cli("update", "c1", "add", "item=milk", "--no-wait", "--update-id", "u2")
    assert later.out == "u2\n"
    assert (await cli("update", "c1", "add", "item=milk", "--update-id", "u2")).out == "2\n"
    assert (await cli("query", "c1", "count")).out == "2\n"
    assert (await cli("query", "c1", "count", "prefix=t", "-o", "yaml")).out.split() == ["1", "..."]
    unknown = await cli("query", "c1", "nothing")
    assert unknown.code == ExitCode.FAILED
    assert (await cli("query", "nobody", "count")).code == ExitCode.NOT_FOUND
    reserved = await cli("query", "c1", "count", "timeout=3")
    assert reserved.code == ExitCode.USAGE


@pytest.mark.usefixtures("shop")
async def test_queues_are_filled_and_keys_read(cli: Cli) -> None:
    await cli("start", "cart", "--instance-id", "c1")
    opened = await cli("kv", "wait", "c1", "state", "--timeout", "20")
    assert json.loads(opened.out) == {"open": True}
    put = await cli("event", "enqueue", "c1", "items", "tea")
    assert (put.code, put.out) == (ExitCode.OK, "c1: item for queue items added\n")
    missing = await cli("kv", "get", "c1", "receipt")
    assert missing.code == ExitCode.NOT_FOUND
    late = await cli("kv", "wait", "c1", "receipt", "--timeout", "0.1")
    assert late.code == ExitCode.TIMED_OUT
    assert "queue items  completed" in (await cli("tree", "c1")).out
    await cli("event", "enqueue", "c1", "items", "--data", '"end"')
    assert json.loads((await cli("result", "c1", "--timeout", "20")).out) == ["tea"]
    assert json.loads((await cli("kv", "get", "c1", "receipt")).out) == {"lines": 1}
    every = json.loads((await cli("kv", "get", "c1", "-o", "json")).out)
    assert every == {"state": {"open": True}, "receipt": {"lines": 1}}
    table = (await cli("kv", "get", "c1")).out
    assert re.search(r'^receipt +\S+ +\{"lines": 1\}$', table, re.MULTILINE)
    assert (await cli("kv", "get", "nobody")).code == ExitCode.NOT_FOUND
    assert (await cli("event", "enqueue", "c1", "items", "tea")).code == ExitCode.USAGE


async def test_a_deferred_activity_is_ended_from_here(
    cli: Cli, shop: Path, eventually: Callable[..., Awaitable[None]]
) -> None:
    for instance, words in (("a1", ("complete", '"yes"')), ("a2", ("fail", "they said no"))):
        await cli("start", "ask", f"file={instance}", "--instance-id", instance)
        file = shop / instance
        await eventually(lambda file=file: file.exists() and file.read_text())
        token = file.read_text()
        done = await cli(words[0], token, words[1])
        assert done.code == ExitCode.OK, done.err
        assert done.out.startswith(f"{instance}: activity ")
    assert (await cli("result", "a1", "--timeout", "20")).out == '"yes"\n'
    failed = await cli("result", "a2", "--timeout", "20")
    assert failed.code == ExitCode.FAILED
    assert "they said no" in failed.err
    assert (await cli("complete", "nonsense")).code == ExitCode.USAGE


@pytest.mark.usefixtures("shop")
async def test_old_executions_are_seen_and_pruned(cli: Cli) -> None:
    await cli("start", "count", "left=3", "--instance-id", "n1", "--wait", "--timeout", "20")
    shown = json.loads((await cli("get", "n1", "-o", "json")).out)
    assert [one["outcome"] for one in shown["executions"]] == [
        *["ContinuedAsNew"] * 3,
        "Completed",
    ]
    assert "ContinuedAsNew" in (await cli("get", "n1")).out
    assert (await cli("prune", "n1")).code == ExitCode.USAGE
    assert (await cli("prune", "n1", "--before", "1h")).out.startswith("n1: 0 executions pruned")
    assert (await cli("prune", "n1", "--keep-last", "3")).out.startswith("n1: 1 execution pruned")
    many = await cli("prune", "--name", "count", "--keep-last", "1", "--yes")
    assert many.out.startswith("2 executions pruned")
    assert "was pruned" in (await cli("rerun", "n1", "--id", "n2")).err


async def test_exported_histories_are_replayed(
    cli: Cli, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cli("start", "count", "left=1", "--instance-id", "n1", "--wait", "--timeout", "20")
    await cli("start", "cart", "--instance-id", "c1")
    await cli("kv", "wait", "c1", "state", "--timeout", "20")
    some = await cli("replay", "cart.py", "--name", "cart", "-o", "json")
    assert [one["instance"] for one in json.loads(some.out)] == ["c1"]
    await cli("export", "--all", "-f", "all.jsonl")
    monkeypatch.delenv("PERDURE_DATABASE_URL")
    agreed = await cli("replay", "cart.py", "-f", "all.jsonl", "-o", "json")
    assert agreed.code == ExitCode.OK, agreed.out + agreed.err
    assert [(one["instance"], one["agrees"]) for one in json.loads(agreed.out)] == [
        ("c1", True),
        ("n1", True),
    ]
    (shop / "edited.py").write_text(_CART.replace('"items"', '"orders"'))
    diverged = await cli("replay", "edited.py", "-f", "all.jsonl")
    assert diverged.code == ExitCode.FAILED
    assert re.search(r"^c1 .*diverges .*orders", diverged.out, re.MULTILINE)
    assert (await cli("replay", "cart.py", "c1", "--name", "cart")).code == ExitCode.USAGE
