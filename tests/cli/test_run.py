"""In scope: `perdure run` as a newcomer starts it: a process, a file, and nothing else there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perdure.cli.exits import ExitCode

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

_PERDURE = [sys.executable, "-m", "perdure.cli.main"]


def _run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_PERDURE, "run", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_orchestration_runs_with_nothing_else_there(shop: Path) -> None:
    ended = _run("shop.py:greet", "name=Ada", folder=shop)
    assert ended.returncode == ExitCode.OK, ended.stderr
    assert ended.stdout == '"Hello, Ada!"\n'
    for said in ("OrchestrationStarted", "ActivityScheduled", "ActivityCompleted", "Completed"):
        assert said in ended.stderr


def test_a_failure_is_told_and_exits_with_one(shop: Path) -> None:
    ended = _run("shop:fail", "-q", folder=shop)
    assert ended.returncode == ExitCode.FAILED
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert "no bread today" in ended.stderr


def test_a_run_that_is_parked_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "threads.py").write_text(
        "import asyncio\n"
        "from perdure import OrchestrationContext, orchestration\n\n"
        "@orchestration\n"
        "async def threads(ctx: OrchestrationContext) -> None:\n"
        "    await asyncio.to_thread(print)\n"
    )
    ended = _run("threads.py", "-q", folder=tmp_path)
    assert ended.returncode == ExitCode.FAILED
    assert "is Blocked: ForbiddenCall: " in ended.stderr
    assert "make it an activity" in ended.stderr


async def test_it_runs_on_a_given_database(cli: Cli, database: str, shop: Path) -> None:
    words = ("run", f"{shop / 'shop.py'}:greet", "--input", '{"name": "Ada"}')
    ended = await cli(*words, "--database-url", database, "--instance-id", "g1", "-q")
    assert (ended.code, json.loads(ended.out)) == (ExitCode.OK, "Hello, Ada!"), ended.err
    assert "Completed" in (await cli("get", "g1")).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shopp",), "did you mean shop?"),
        (("shop:gret",), "did you mean greet?"),
        (("shop",), "say which"),
        (("shop:greet",), "name"),
        (("shop:greet", "nam=Ada"), "nam"),
        (("shop:greet", "name=Ada", "times=many"), "times"),
        (("shop:greet", "--input", "{"), "--input is not JSON"),
    ],
)
@pytest.mark.usefixtures("shop")
async def test_wrong_code_or_input_is_refused_before_anything_starts(
    cli: Cli, words: tuple[str, ...], said: str
) -> None:
    ended = await cli("run", *words)
    assert ended.code == ExitCode.USAGE, ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert said in ended.err


def test_an_interrupted_run_goes_on_where_it_was(shop: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    # Postgres may run as another user, who has to reach the folder.
    for folder in (state.parent, *state.parent.parents):
        if folder.owner() == Path.home().owner() and folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    words = ["shop.py:wait", "--data-dir", str(state), "--instance-id", "w1"]
    process = subprocess.Popen(
        [*_PERDURE, "run", *words], cwd=shop, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "word" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    again = subprocess.Popen(
        [*_PERDURE, "run", *words], cwd=shop, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert again.stderr is not None
    assert "going on" in again.stderr.readline() + again.stderr.readline()
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=30)
