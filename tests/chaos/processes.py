"""The processes that are killed: a Postgres server, replayers and executors.

A kill is SIGKILL, of the process as it is: nobody gets to say goodbye. Of the server it is the
postmaster that dies; its other processes notice and end, and only when the last is gone does a new
server start. Or one of those others dies, and the postmaster restarts all of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

from perdure.errors import ConfigurationError
from perdure.testing.postgres import EmbeddedPostgres

__all__ = ["Processes"]

_ROOT = Path(__file__).resolve().parents[2]
_APP = "tests/chaos/orchestrations.py"
_LEASE_SECONDS = "3"
_RECOVERY_SECONDS = 60.0


class Processes:
    """Everything that can be killed, and is started again.

    Args:
        server: The server; running.
        folder: Where logs go, one for each process.
        dice: Says who dies.
        replayers: How many.
        executors: How many.
    """

    def __init__(
        self,
        server: EmbeddedPostgres,
        folder: Path,
        dice: random.Random,
        *,
        replayers: int,
        executors: int,
    ) -> None:
        self._server = server
        self._folder = folder
        self._dice = dice
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._names = [f"replayer-{number}" for number in range(replayers)]
        self._names += [f"executor-{number}" for number in range(executors)]
        self._next: list[str] = []
        self.kills: Counter[str] = Counter()
        """By what was killed."""
        self.died: list[str] = []
        """Who ended without being killed: there is nobody who should."""

    def start(self) -> None:
        """Start all that do not run."""
        for name in self._names:
            if name not in self._running:
                self._running[name] = self._spawn(name)

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        role = name.partition("-")[0]
        command = [str(Path(sys.executable).with_name("perdure")), role, "--app", _APP]
        environment = {
            **os.environ,
            "PERDURE_DATABASE_URL": self._server.url,
            "PERDURE_EXECUTOR_NAME": name,
            "PERDURE_LEASE_SECONDS": _LEASE_SECONDS,
            "PERDURE_SESSIONS_LEASE_SECONDS": _LEASE_SECONDS,
            "PERDURE_PROBE_PORT": "0",
            "PERDURE_LOG_LEVEL": "warning",
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip

    async def kill_somebody(self) -> None:
        """Kill one at random, and start it again a little later."""
        self._note_who_died()
        if not self._next:  # everybody's turn comes, in an order that is drawn anew each time
            self._next = [*self._names, "postmaster", "backend"]
            self._dice.shuffle(self._next)
        name = self._next.pop()
        self.kills[name.partition("-")[0]] += 1
        match name:
            case "postmaster":
                await self._kill_postmaster()
            case "backend":
                self._kill_backend()
            case _:
                process = self._running.pop(name)
                process.kill()
                process.wait()
                await asyncio.sleep(self._dice.random())  # may sleep: nobody is there meanwhile
                self._running[name] = self._spawn(name)

    async def _kill_postmaster(self) -> None:
        os.kill(self._server.pid, signal.SIGKILL)
        await asyncio.to_thread(self._server.kill)  # takes note, and its watchdog away
        await asyncio.sleep(self._dice.random())  # may sleep: nobody is there meanwhile
        async with asyncio.timeout(_RECOVERY_SECONDS):
            while True:
                with suppress(ConfigurationError):  # until its other processes have ended
                    await asyncio.to_thread(self._server.start)
                    return
                await asyncio.sleep(0.1)  # may sleep: asks again, until its time is over

    def _kill_backend(self) -> None:
        pid = self._server.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        with suppress(ProcessLookupError):
            os.kill(int(self._dice.choice(children)), signal.SIGKILL)

    def _note_who_died(self) -> None:
        for name, process in list(self._running.items()):
            if process.poll() is not None:
                self.died.append(f"{name} ended by itself with {process.returncode}")
                del self._running[name]
        self.start()

    def stop(self) -> None:
        """Kill all but the server."""
        self._note_who_died()
        for process in self._running.values():
            process.kill()
            process.wait()
        self._running.clear()
