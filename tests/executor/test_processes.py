"""Real processes: killed, stopped, started without code or database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError

import asyncpg
import pytest

from perdure.client import Client
from perdure.model.ids import JsonText
from perdure.model.records import RecordKind
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Eventually = Callable[..., Awaitable[None]]

APP = """
import asyncio, os, sys, time
from pathlib import Path
from perdure.executor import *
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import ActivityContext, activity, orchestration
from perdure.replay.registry import Registry

NOTES = Path(os.environ["NOTES"])

@activity
def holds(ctx: ActivityContext, key: str) -> int:
    with (NOTES / key).open("a") as notes:
        notes.write(f"{os.getpid()} attempt {ctx.attempt}\\n")
    while not (NOTES / f"{key}.release").exists():
        time.sleep(0.01)
    return ctx.attempt

@orchestration
async def waits_for_it(ctx: OrchestrationContext, key: str) -> int:
    return await holds(key)

@orchestration
async def slow_turn(ctx: OrchestrationContext, key: str) -> str:
    if not ctx.is_replaying:
        with (NOTES / key).open("a") as notes:
            notes.write(f"{os.getpid()}\\n")
        until = time.monotonic() + 60
        while not (NOTES / f"{key}.release").exists() and time.monotonic() < until:
            pass
    return "done"

REGISTRY = Registry(holds, waits_for_it, slow_turn)

def load():
    if os.environ.get("BROKEN"):
        from perdure.errors import ConfigurationError
        raise ConfigurationError("Module 'shop' does not import: line 3")
    return REGISTRY

if __name__ == "__main__":
    if sys.argv[1] == "replayer":
        sys.exit(run_replayer(ReplayerSettings.from_env(os.environ), load))
    sys.exit(run_executor(ExecutorSettings.from_env(os.environ), load))
"""


class Processes:
    """Starts processes of the app, and ends what is left of them."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url
        self._script = folder / "app.py"
        self._script.write_text(textwrap.dedent(APP))
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, role: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, str(self._script), role],
            env={
                **os.environ,
                "PERDURE_DATABASE_URL": self._url,
                "PERDURE_PROBE_PORT": "0",
                "PERDURE_LEASE_SECONDS": "2",
                "NOTES": str(self._folder),
                **env,
            },
            stderr=subprocess.PIPE,
        )
        self.started.append(process)
        return process

    def notes(self, key: str) -> list[str]:
        file = self._folder / key
        return file.read_text().splitlines() if file.exists() else []

    def release(self, key: str) -> None:
        (self._folder / f"{key}.release").touch()


@pytest.fixture
def processes(tmp_path: Path, database_url: str, provider: PostgresProvider) -> Iterator[Processes]:
    assert provider is not None  # its schema is there
    found = Processes(tmp_path, database_url)
    yield found
    for process in found.started:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ready(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return str(reply.read().decode())
    except HTTPError as error:
        with error:
            return error.read().decode()
    except (URLError, ConnectionError):
        return ""


async def test_the_activity_of_a_killed_executor_runs_again_and_completes_once(
    processes: Processes, provider: PostgresProvider, eventually: Eventually
) -> None:
    processes.start("replayer")
    victim = processes.start("executor")
    async with Client(provider) as client:
        handle = await client.start_named(
            "waits_for_it", JsonText('{"key":"kill"}'), result_type=int
        )
        await eventually(lambda: processes.notes("kill"))
        victim.kill()
        processes.start("executor")
        await eventually(lambda: len(processes.notes("kill")) == 2)
        processes.release("kill")
        assert await handle.result(timeout=20) == 2
    records = await provider.read_history(handle.instance_id)
    assert [record.kind for record in records].count(RecordKind.ACTIVITY_COMPLETED) == 1
    assert [line.split()[-1] for line in processes.notes("kill")] == ["1", "2"]


async def test_an_executor_told_to_stop_lets_its_activity_finish(
    processes: Processes, provider: PostgresProvider, eventually: Eventually
) -> None:
    port = free_port()
    processes.start("replayer")
    executor = processes.start("executor", PERDURE_PROBE_PORT=str(port))
    async with Client(provider) as client:
        handle = await client.start_named(
            "waits_for_it", JsonText('{"key":"finish"}'), result_type=int
        )
        await eventually(lambda: processes.notes("finish"))
        executor.send_signal(signal.SIGTERM)
        await eventually(lambda: "draining" in ready(port))
        assert executor.poll() is None
        processes.release("finish")
        await eventually(lambda: executor.poll() is not None)
        assert executor.returncode == 0
        assert await handle.result(timeout=20) == 1


async def test_an_executor_out_of_time_hands_back_without_counting_the_attempt(
    processes: Processes, provider: PostgresProvider, eventually: Eventually
) -> None:
    processes.start("replayer")
    executor = processes.start(
        "executor", PERDURE_DRAIN_SECONDS="0.2", PERDURE_CANCEL_GRACE_SECONDS="0.2"
    )
    async with Client(provider) as client:
        handle = await client.start_named(
            "waits_for_it", JsonText('{"key":"back"}'), result_type=int
        )
        await eventually(lambda: processes.notes("back"))
        executor.send_signal(signal.SIGTERM)
        await eventually(lambda: executor.poll() is not None)
        assert executor.returncode == 0  # although its thread did not stop
        (waiting,) = await provider.read_activities([handle.instance_id])
        assert (waiting.leased, waiting.attempt) == (False, 0)
        processes.release("back")
        processes.start("executor")
        assert await handle.result(timeout=20) == 1


async def test_a_second_signal_cuts_the_draining_short(
    processes: Processes, provider: PostgresProvider, eventually: Eventually
) -> None:
    port = free_port()
    processes.start("replayer")
    executor = processes.start(
        "executor",
        PERDURE_PROBE_PORT=str(port),
        PERDURE_DRAIN_SECONDS="600",
        PERDURE_CANCEL_GRACE_SECONDS="0.2",
    )
    async with Client(provider) as client:
        handle = await client.start_named(
            "waits_for_it", JsonText('{"key":"hurry"}'), result_type=int
        )
        await eventually(lambda: processes.notes("hurry"))
        executor.send_signal(signal.SIGTERM)
        await eventually(lambda: "draining" in ready(port))
        executor.send_signal(signal.SIGTERM)
        await eventually(lambda: executor.poll() is not None)
        assert executor.returncode == 0
        (waiting,) = await provider.read_activities([handle.instance_id])
        assert not waiting.leased


async def test_the_turn_of_a_killed_replayer_is_taken_again(
    processes: Processes, provider: PostgresProvider, eventually: Eventually
) -> None:
    victim = processes.start("replayer")
    async with Client(provider) as client:
        handle = await client.start_named("slow_turn", JsonText('{"key":"turn"}'), result_type=str)
        await eventually(lambda: processes.notes("turn"))
        victim.kill()
        processes.release("turn")
        processes.start("replayer")
        assert await handle.result(timeout=20) == "done"
    records = await provider.read_history(handle.instance_id)
    assert [record.kind for record in records] == [RecordKind.STARTED, RecordKind.TURN]
    assert len(set(processes.notes("turn"))) == 2


async def test_processes_announce_themselves_and_withdraw(
    processes: Processes, provider: PostgresProvider, eventually: Eventually
) -> None:
    replayer = processes.start("replayer", PERDURE_EXECUTOR_NAME="r-0", PERDURE_BUILD="b1")
    executor = processes.start(
        "executor", PERDURE_EXECUTOR_NAME="e-0", PERDURE_TAGS="gpu", PERDURE_SLOTS="3"
    )

    async def both() -> bool:
        return len(await provider.read_executors()) == 2

    await eventually(both)
    by_name = {each.info.name: each.info for each in await provider.read_executors()}
    assert by_name["r-0"].build == "b1"
    assert {code.name for code in by_name["r-0"].code} == {"waits_for_it", "slow_turn"}
    assert by_name["e-0"].tags == ("gpu",)
    assert (by_name["e-0"].slots, by_name["e-0"].activities) == (3, ("holds",))
    for process in (replayer, executor):
        process.send_signal(signal.SIGINT)
        await eventually(lambda process=process: process.poll() is not None)
        assert process.returncode == 0
    assert await provider.read_executors() == []


async def test_code_that_does_not_load_in_a_pod_is_waited_out(
    processes: Processes, eventually: Eventually
) -> None:
    port = free_port()
    process = processes.start(
        "executor", BROKEN="1", PERDURE_ON_LOAD_ERROR="wait", PERDURE_PROBE_PORT=str(port)
    )
    await eventually(lambda: "does not import: line 3" in ready(port))
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    assert process.returncode == 0


async def test_code_that_does_not_load_in_a_terminal_ends_with_the_reason(
    processes: Processes, eventually: Eventually
) -> None:
    process = processes.start("replayer", BROKEN="1", PERDURE_ON_LOAD_ERROR="exit")
    await eventually(lambda: process.poll() is not None)
    assert process.returncode == 2
    assert process.stderr is not None
    assert b"does not import: line 3" in process.stderr.read()


async def test_a_process_waits_for_a_database_that_is_not_there_yet(
    processes: Processes, eventually: Eventually
) -> None:
    with EmbeddedPostgres(settings={"fsync": "off"}) as server:
        url = server.url
    port = free_port()
    process = processes.start("executor", PERDURE_DATABASE_URL=url, PERDURE_PROBE_PORT=str(port))
    await eventually(lambda: "storage:" in ready(port))
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    await eventually(lambda: process.poll() is not None)
    assert process.returncode == 0


async def test_a_process_outlives_a_long_absence_of_its_database(
    processes: Processes, eventually: Eventually
) -> None:
    ports = {"replayer": free_port(), "executor": free_port()}
    with EmbeddedPostgres(settings={"fsync": "off"}) as server:
        await migrate(server.url)
        running = [
            processes.start(
                role, PERDURE_DATABASE_URL=server.url, PERDURE_PROBE_PORT=str(ports[role])
            )
            for role in ports
        ]
        for port in ports.values():
            await eventually(lambda port=port: ready(port) == '{"ok": true}\n')
        server.stop()
        for port in ports.values():
            await eventually(lambda port=port: "storage:" in ready(port))
        server.start()
        processes.release("away")
        async with PostgresProvider(server.url) as provider, Client(provider) as client:
            handle = await client.start_named(
                "waits_for_it", JsonText('{"key":"away"}'), result_type=int
            )
            assert await handle.result(timeout=20) == 1
        for port in ports.values():
            await eventually(lambda port=port: ready(port) == '{"ok": true}\n')
        assert [process.poll() for process in running] == [None, None]
        for process in running:
            process.send_signal(signal.SIGTERM)
            await eventually(lambda process=process: process.poll() is not None)
            assert process.returncode == 0


async def test_a_server_without_a_free_connection_is_waited_for(
    processes: Processes, eventually: Eventually
) -> None:
    port = free_port()
    few = {"fsync": "off", "max_connections": "8", "superuser_reserved_connections": "0"}
    with EmbeddedPostgres(settings=few) as server:
        await migrate(server.url)
        taken = [await asyncpg.connect(server.url) for _ in range(8)]
        process = processes.start(
            "executor", PERDURE_DATABASE_URL=server.url, PERDURE_PROBE_PORT=str(port)
        )
        await eventually(lambda: "too many clients" in ready(port))
        for connection in taken:
            await connection.close()
        await eventually(lambda: ready(port) == '{"ok": true}\n')
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: process.poll() is not None)
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_process_that_is_still_connecting_ends_at_once_and_in_silence(
    processes: Processes, eventually: Eventually, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        silent.settimeout(20)
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"
        process = processes.start("executor", PERDURE_DATABASE_URL=url)
        connection, _ = await asyncio.to_thread(silent.accept)
        process.send_signal(number)
        await eventually(lambda: process.poll() is not None, 10)
        connection.close()
    assert process.returncode == 0
    assert process.stderr is not None
    assert b"never retrieved" not in process.stderr.read()
