"""In scope: what the command line says about itself, and that docs/cli.md says the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from perdure.cli.exits import ExitCode

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
_COMMANDS = re.findall(r"^\| `([a-z]+(?: [a-z-]+)?)[^`]*` \|", _PAGE, re.MULTILINE)


async def test_without_words_it_shows_what_there_is(cli: Cli) -> None:
    ended = await cli()
    assert ended.code in {ExitCode.OK, ExitCode.USAGE}
    assert "perdure run hello.py name=Ada" in ended.out + ended.err


@pytest.mark.parametrize("command", _COMMANDS)
async def test_every_command_of_the_page_exists_and_teaches(cli: Cli, command: str) -> None:
    ended = await cli(*command.split(), "--help")
    assert ended.code == ExitCode.OK, ended.err
    assert f"Usage: perdure {command}" in ended.out
    if command != "version":
        assert f"perdure {command}" in ended.out.partition("Examples")[2]


async def test_every_command_is_on_the_page(cli: Cli) -> None:
    ended = await cli("--help")
    shown = re.findall(r"^│ ([a-z]+)\s+[A-Z]", ended.out, re.MULTILINE)
    assert len(shown) > 10
    assert set(shown) == {command.split()[0] for command in _COMMANDS}


async def test_every_exit_code_is_on_the_page_and_in_the_help(cli: Cli) -> None:
    listed = set(re.findall(r"^\| (\d+) \|", _PAGE, re.MULTILINE))
    assert listed == {str(code.value) for code in ExitCode}
    helped = (await cli("--help")).out.partition("Exit codes:")[2].partition("╭")[0]
    assert set(re.findall(r"\b\d+\b", helped)) == listed


async def test_a_misspelt_command_is_told_what_comes_close(cli: Cli) -> None:
    ended = await cli("histroy")
    assert ended.code == ExitCode.USAGE
    assert "history" in ended.err


async def test_a_missing_argument_is_a_usage_error(cli: Cli) -> None:
    ended = await cli("get")
    assert ended.code == ExitCode.USAGE
    assert "INSTANCE" in ended.err


async def test_what_is_no_terminal_gets_no_colours(cli: Cli) -> None:
    assert "\x1b" not in (await cli("version", "--help")).out
