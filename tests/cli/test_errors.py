"""In scope: how errors reach whoever called: one line that names the remedy, and an exit code."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from perdure.cli.exits import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli


def _nobody_listens() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"postgresql://postgres:secret@127.0.0.1:{listener.getsockname()[1]}/postgres"


async def test_without_a_database_it_says_how_to_name_one(cli: Cli) -> None:
    ended = await cli("list")
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("error: No database is named: give --database-url")
    assert ended.err.count("\n") == 1


async def test_a_database_that_is_away_is_one_line_without_its_password(cli: Cli) -> None:
    ended = await cli("list", "--database-url", _nobody_listens())
    assert ended.code == ExitCode.UNREACHABLE
    assert ended.err.count("\n") == 1
    assert "--database-url" in ended.err
    assert "secret" not in ended.err
    assert "Traceback" not in ended.err


async def test_debug_shows_the_traceback_wherever_it_stands(cli: Cli) -> None:
    for words in (("--debug", "list"), ("list", "--debug")):
        ended = await cli(*words)
        assert "Traceback" in ended.err
        assert ended.code == ExitCode.USAGE


async def test_a_database_without_the_schema_is_told_to_migrate(
    cli: Cli, database_url: str
) -> None:
    ended = await cli("list", "--database-url", database_url)
    assert ended.code == ExitCode.UNREACHABLE
    assert "perdure db migrate" in ended.err


async def test_the_database_is_read_from_the_file_that_the_environment_names(
    cli: Cli, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERDURE_DATABASE_URL")
    (tmp_path / "url").write_text(f"{database}\n")
    monkeypatch.setenv("PERDURE_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert (await cli("list")).code == ExitCode.OK
    monkeypatch.setenv("PERDURE_DATABASE_URL_FILE", str(tmp_path / "nowhere"))
    ended = await cli("list")
    assert ended.code == ExitCode.USAGE
    assert "PERDURE_DATABASE_URL_FILE" in ended.err


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "words",
    [
        ("get", "nobody"),
        ("history", "nobody"),
        ("tree", "nobody"),
        ("watch", "nobody"),
        ("result", "nobody"),
        ("result", "nobody", "--no-wait"),
        ("cancel", "nobody"),
        ("terminate", "nobody"),
        ("suspend", "nobody"),
        ("resume", "nobody"),
        ("event", "raise", "nobody", "word"),
    ],
)
async def test_an_instance_that_is_not_there(cli: Cli, words: tuple[str, ...]) -> None:
    ended = await cli(*words)
    assert ended.code == ExitCode.NOT_FOUND, ended.err
    assert "'nobody'" in ended.err
    assert "perdure list" in ended.err


@pytest.mark.usefixtures("database")
async def test_a_status_that_is_none_is_told_which_there_are(cli: Cli) -> None:
    ended = await cli("list", "--status", "Runing")
    assert ended.code == ExitCode.USAGE
    assert "Running" in ended.err


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("instance", ["", "a\tb", "parent::1/0:1", "x" * 300])
async def test_an_id_that_cannot_be_is_refused(cli: Cli, instance: str) -> None:
    ended = await cli("start", "greet", "--instance-id", instance)
    assert ended.code == ExitCode.USAGE
    assert ended.err.startswith("error: Instance id")
    assert (await cli("list")).out == ""


@pytest.mark.parametrize("words", [("list",), ("db", "migrate"), ("db", "status")])
async def test_a_url_that_is_none_is_the_callers_mistake(cli: Cli, words: tuple[str, ...]) -> None:
    ended = await cli(*words, "--database-url", "mysql://u:secret@localhost/db")
    assert ended.code == ExitCode.USAGE
    assert "the database URL cannot be" in ended.err
    assert "postgresql://user:password@host:port/database" in ended.err
    assert "secret" not in ended.err


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("event", "raise", "--ahead", "later", ""), "Event name"),
        (("event", "raise", "--ahead", "", "go"), "Instance id"),
        (("event", "raise", "--ahead", "later", "go", "NaN"), "holds a NaN"),
        (("start", "a\nb"), "orchestration name 'a\\nb' cannot be"),
        (("start", "greet", "--version", "2"), "version '2' is not a semantic version"),
        (("cancel", "x" * 300), "Instance id"),
        (("get", ""), "Instance id"),
    ],
)
async def test_what_could_not_be_stored_is_refused(
    cli: Cli, words: tuple[str, ...], expected: str
) -> None:
    ended = await cli(*words)
    assert ended.code == ExitCode.USAGE
    assert expected in ended.err
