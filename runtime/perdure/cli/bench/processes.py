"""The processes under measurement, and what the kernel says they used.

CPU time and memory come from `/proc`: exact to a hundredth of a second, and without a dependency.
Elsewhere than on Linux they are not known, and said so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from perdure.errors import ConfigurationError

__all__ = ["Spawned", "cpu_seconds", "family_cpu_seconds", "peak_memory_mb", "spawn"]

_PROC = Path("/proc")
_STOP_SECONDS_MAX = 20.0
# Fields of /proc/PID/stat after the name: parent, then user, system and reaped children's time.
_PARENT, _USER, _SYSTEM, _REAPED_USER, _REAPED_SYSTEM = 1, 11, 12, 13, 14
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process of Perdure that we started."""

    role: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def pid(self) -> int:
        """Its process number."""
        return self.process.pid

    def check(self) -> None:
        """Raise `ConfigurationError` with the end of its log if it has ended."""
        code = self.process.poll()
        if code is None:
            return
        self.log.seek(0)
        tail = self.log.read().decode(errors="replace").splitlines()[-15:]
        raise ConfigurationError(
            f"perdure {self.role} ended with exit code {code}: " + " | ".join(tail)
        )


@contextmanager
def spawn(role: str, arguments: list[str], environment: Mapping[str, str]) -> Generator[Spawned]:
    """Run `perdure ROLE …` while the block lasts; end it as a cluster would."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "perdure.cli.main", role, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C is for us: we end it when we are done
        )
        spawned = Spawned(role=role, process=process, log=log)
        try:
            yield spawned
            spawned.check()
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process so far, without its children."""
    stat = _stat(pid)
    return None if stat is None else _ticks(stat[_USER], stat[_SYSTEM])


def family_cpu_seconds(pid: int) -> float | None:
    """CPU time of a process and its children, those that have ended too.

    A server's connections are children of its first process; those that closed were reaped by it
    and are counted there.
    """
    head = _stat(pid)
    if head is None:
        return None
    total = _ticks(head[_USER], head[_SYSTEM], head[_REAPED_USER], head[_REAPED_SYSTEM])
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            stat = _stat(int(folder.name))
            if stat is not None and int(stat[_PARENT]) == pid:
                total += _ticks(stat[_USER], stat[_SYSTEM])
    return total


def peak_memory_mb(pid: int) -> float | None:
    """Read the most memory that a process held so far, in MiB."""
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / _KIB_PER_MIB, 1)
    return None


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:  # gone meanwhile, or no Linux
        return None
    return text.rpartition(")")[2].split()


def _ticks(*fields: str) -> float:
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK")
