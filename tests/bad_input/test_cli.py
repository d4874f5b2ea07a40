"""Wrong uses of the command, each with its one line and its exit code.

They go through the command's own edge, on a file of SQLite; nothing of them is in it afterwards.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.cli.exits import ExitCode
from perdure.cli.main import main

SHOP = """
from perdure import OrchestrationContext, orchestration

@orchestration
async def greet(ctx: OrchestrationContext, name: str, times: int = 1) -> str:
    return name * times

@orchestration
async def other(ctx: OrchestrationContext) -> None: ...
"""
WANTS = "postgresql://user:password@host:port/database"

WRONG: list[tuple[str, list[str], ExitCode, str]] = [
    (
        "no database",
        ["list", "--database-url", ""],
        ExitCode.USAGE,
        (
            "No database is named: give --database-url or set PERDURE_DATABASE_URL (`perdure run` "
            "needs none)"
        ),
    ),
    (
        "a port that is none",
        ["list", "--database-url", "postgresql://u:secret@localhost:abc/db"],
        ExitCode.USAGE,
        (
            "the database URL cannot be: the port is 'abc', which is no number from 1 to 65,535; "
            f"expected {WANTS}"
        ),
    ),
    (
        "a port beyond the last",
        ["list", "--database-url", "postgresql://u:secret@localhost:99999/db"],
        ExitCode.USAGE,
        (
            "the database URL cannot be: the port is '99999', which is no number from 1 to 65,535; "
            f"expected {WANTS}"
        ),
    ),
    (
        "a port that is none, migrating",
        ["db", "migrate", "--database-url", "postgresql://u:secret@localhost:abc/db"],
        ExitCode.USAGE,
        (
            "the database URL cannot be: the port is 'abc', which is no number from 1 to 65,535; "
            f"expected {WANTS}"
        ),
    ),
    (
        "a host that is none",
        ["list", "--database-url", "postgresql://u:secret@[::1/db"],
        ExitCode.USAGE,
        f"the database URL cannot be: the host '::1' lacks its closing bracket; expected {WANTS}",
    ),
    (
        "another database",
        ["list", "--database-url", "mysql://u:secret@localhost/db"],
        ExitCode.USAGE,
        f"the database URL cannot be: its scheme is 'mysql'; expected {WANTS}, or sqlite:///FILE",
    ),
    (
        "no URL at all",
        ["list", "--database-url", "u:secret@localhost"],
        ExitCode.USAGE,
        f"the database URL cannot be: it has no scheme; expected {WANTS}, or sqlite:///FILE",
    ),
    (
        "a schema that is none",
        ["list", "--schema", "x" * 64, "--database-url", "postgresql://u:secret@localhost/db"],
        ExitCode.USAGE,
        (
            f"schema '{'x' * 64}' (PERDURE_SCHEMA) cannot be: it has 64 bytes of UTF-8; it needs 1 "
            "to 63"
        ),
    ),
    (
        "no file",
        ["run", "nofile.py"],
        ExitCode.USAGE,
        "There is no file nofile.py",
    ),
    (
        "which orchestration",
        ["run", "shop.py"],
        ExitCode.USAGE,
        (
            "Module shop defines 2 orchestrations: say which, as in shop:greet (there are greet, "
            "other)"
        ),
    ),
    (
        "no such orchestration",
        ["run", "shop.py:gret"],
        ExitCode.USAGE,
        "Module shop has no orchestration 'gret': it has greet, other; did you mean greet?",
    ),
    (
        "no such argument",
        ["run", "shop.py:greet", "nam=x"],
        ExitCode.USAGE,
        "orchestration 'greet' has no parameter 'nam'; it has 'name', 'times'",
    ),
    (
        "an argument that does not fit",
        ["run", "shop.py:greet", "name=1", "times=many"],
        ExitCode.USAGE,
        (
            "argument of orchestration 'greet' does not fit: times: Input should be a valid "
            "integer, unable to parse string as an integer (found 'many')"
        ),
    ),
    (
        "no argument at all",
        ["run", "shop.py:greet", "name"],
        ExitCode.USAGE,
        "'name' is no argument: write NAME=VALUE, or the whole input as --input JSON",
    ),
    (
        "an argument twice",
        ["run", "shop.py:greet", "name=a", "name=b"],
        ExitCode.USAGE,
        "The argument 'name' is given twice",
    ),
    (
        "input that is no JSON",
        ["run", "shop.py:greet", "--input", '{"name": }'],
        ExitCode.USAGE,
        (
            "--input is not JSON: Expecting value at line 1, column 10, near '{\"name\": }'. A "
            "string needs its double quotes: '\"text\"'"
        ),
    ),
    (
        "input both ways",
        ["run", "shop.py:greet", "--input", "{}", "name=b"],
        ExitCode.USAGE,
        "Give either --input or arguments by name ('name=b'), not both",
    ),
    (
        "no instance id",
        ["start", "greet", "name=a", "--instance-id", ""],
        ExitCode.USAGE,
        "Instance id '' has 0 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "a child's id",
        ["start", "greet", "name=a", "--instance-id", "a::b"],
        ExitCode.USAGE,
        "Instance id 'a::b' has '::', which marks the ids of children: use another separator",
    ),
    (
        "a name that is too long",
        ["start", "x" * 254],
        ExitCode.USAGE,
        f"orchestration name '{'x' * 80}' cannot be: it has 254 bytes of UTF-8; it needs 1 to 253",
    ),
    (
        "a version that is none",
        ["start", "greet", "--version", "new"],
        ExitCode.USAGE,
        "orchestration 'greet': version 'new' is not a semantic version such as '1.2.0'",
    ),
    (
        "no such instance",
        ["get", "nobody"],
        ExitCode.NOT_FOUND,
        "No instance has the id 'nobody'. See which there are: perdure list",
    ),
    (
        "an id that cannot be",
        ["get", "a\tb"],
        ExitCode.USAGE,
        "Instance id 'a\\tb' has a control character; leave it out",
    ),
    (
        "no slots",
        ["executor", "--app", "shop", "--slots", "0"],
        ExitCode.USAGE,
        "PERDURE_SLOTS is 0; expected a whole number from 1 to 10000",
    ),
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with code and a database, as the current one."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("PERDURE_DATABASE_URL_FILE", raising=False)
    monkeypatch.setenv("PERDURE_DATABASE_URL", "sqlite:///here.db")
    monkeypatch.setenv("COLUMNS", "1000")
    return tmp_path


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("words", "code", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_cli(
    words: list[str], code: ExitCode, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (main(words), capsys.readouterr().err) == (code, f"error: {message}\n")
    assert main(["list", "-o", "json"]) == ExitCode.OK
    assert capsys.readouterr().out.strip() == "[]"


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("name", ["x" * 253, "library::kind::name"])
def test_a_name_that_makes_no_id_is_cut_in_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["start", name]) == ExitCode.OK
    made = capsys.readouterr().out.strip()
    assert len(made) <= 253
    assert "::" not in made
    assert main(["get", made, "-o", "json"]) == ExitCode.OK


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("words", [["list"], ["start", "greet"], ["db", "migrate"]])
def test_ctrl_c_while_connecting_ends_it(words: list[str]) -> None:
    """A server that takes the connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:secret@127.0.0.1:{silent.getsockname()[1]}/db"
        command = [sys.executable, "-m", "perdure.cli.main", *words, "--database-url", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = silent.accept()
            connection.recv(8)  # it has said hello, and waits for the answer
            process.send_signal(2)
            _, said = process.communicate(timeout=20)
            connection.close()
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in said
    assert "secret" not in said
