"""In scope: the server that tests and trials start for themselves, its life and its end.

Out of scope: what a provider does with it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest

from perdure.errors import ConfigurationError
from perdure.testing import postgres
from perdure.testing.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator

_ORPHAN_SECONDS_MAX = 30

_STARTS_AND_IS_KILLED = """
import os, signal
from perdure.testing.postgres import EmbeddedPostgres
server = EmbeddedPostgres()
server.start()
print(server.pid, server._directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def reachable_folder() -> Iterator[Path]:
    """Unlike tmp_path, a folder whose parents everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="perdure-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def _ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_each_test_has_an_empty_database_of_its_own(database_url: str) -> None:
    name = urlsplit(database_url).path.removeprefix("/")
    assert await _ask(database_url, "select current_database()") == name
    assert (
        await _ask(database_url, "select count(*) from pg_tables where schemaname = 'public'") == 0
    )


async def test_a_server_is_durable_unless_told_otherwise() -> None:
    with EmbeddedPostgres() as server:
        assert await _ask(server.url, "show fsync") == "on"
        assert await _ask(server.url, "show synchronous_commit") == "on"


async def test_a_stranger_without_the_password_is_refused(
    postgres_server: EmbeddedPostgres,
) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _ask(postgres_server.url_of("postgres", password="guess"), "select 1")


async def test_what_was_committed_survives_a_crash_and_a_restart_at_the_same_address() -> None:
    with EmbeddedPostgres() as server:
        before = server.url
        await _ask(before, "create table kept as select 1 as one")
        server.kill()
        server.start()
        assert server.url == before
        server.restart()
        assert await _ask(before, "select one from kept") == 1


async def test_a_folder_keeps_the_data_for_the_next_server(
    reachable_folder: Path,
) -> None:
    with EmbeddedPostgres(reachable_folder) as server:
        await _ask(server.url, "create table kept as select 1 as one")
    with EmbeddedPostgres(reachable_folder) as server:
        assert await _ask(server.url, "select one from kept") == 1


def test_a_temporary_server_leaves_no_file_behind() -> None:
    with EmbeddedPostgres() as server:
        folder = server._directory
        assert folder is not None
        assert folder.exists()
    assert not folder.exists()


def test_a_server_ends_with_the_process_that_started_it_however_that_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _STARTS_AND_IS_KILLED], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    process, folder = ended.stdout.split()
    # tail --pid returns when the process is gone: nothing here guesses how long that takes.
    waiting = ["/usr/bin/tail", "--pid", process, "-f", "/dev/null"]
    subprocess.run(waiting, timeout=_ORPHAN_SECONDS_MAX, check=True)
    assert "database system is shut down" in (Path(folder) / "log").read_text()
    shutil.rmtree(folder)


def test_a_setting_the_server_refuses_is_reported_with_its_own_words() -> None:
    with (
        pytest.raises(ConfigurationError, match="no_such_setting"),
        EmbeddedPostgres(settings={"no_such_setting": "1"}),
    ):
        pass


@pytest.fixture
def unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if we were root, and the server's user somebody else."""
    account = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(postgres, "_server_account", lambda: account)


@pytest.mark.usefixtures("unprivileged")
def test_a_folder_that_the_servers_user_cannot_reach_is_refused_and_left_as_it_was(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match="choose a folder"):
        EmbeddedPostgres(closed / "data").start()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@pytest.mark.usefixtures("unprivileged")
def test_programs_that_the_servers_user_cannot_reach_are_copied_beside_the_data(
    tmp_path: Path, reachable_folder: Path
) -> None:
    installed = postgres._find_programs()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "wheel").symlink_to(installed.parents[1])
    programs = postgres._reachable_programs(
        closed / "wheel" / installed.parent.name / installed.name, reachable_folder
    )
    assert programs.is_relative_to(reachable_folder)
    version = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("postgres (PostgreSQL)")
