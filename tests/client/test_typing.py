"""Checkers see through the client: what is revealed, and what is refused, line by line.

The calls are kept as text, so that checking the project does not stumble over their mistakes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = Path(__file__).parent / "typing" / "calls.txt"
ROOT = Path(__file__).parents[2]
COMMANDS = {
    "mypy": [sys.executable, "-m", "mypy", "--no-error-summary"],
    "pyright": [sys.executable, "-m", "pyright"],
}
REVEALED = r'(?:Revealed type is|Type of "(?:.|\n)*?" is) "([^"]+)"$'
ERROR = r"calls\.py:(\d+)(?::\d+)?(?: -)?:? error"


def expected() -> tuple[list[str], set[int]]:
    """The revealed types in order, and the lines of the mistakes."""
    text = CALLS.read_text()
    revealed = re.findall(r"reveal_type\((?:.|\n)*?\)  # (.+)$", text, re.MULTILINE)
    lines = enumerate(text.splitlines(), 1)
    return revealed, {number for number, line in lines if "  # error: " in line}


@pytest.mark.slow
@pytest.mark.parametrize("checker", COMMANDS)
def test_checkers_see_the_types_of_definitions(checker: str, tmp_path: Path) -> None:
    copy = tmp_path / "calls.py"
    copy.write_text(CALLS.read_text())
    done = subprocess.run(
        [*COMMANDS[checker], str(copy)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    output = done.stdout + done.stderr
    revealed = [
        re.sub(r"\b(?:\w+\.)+(?=\w)", "", found)
        for found in re.findall(REVEALED, output, re.MULTILINE)
    ]
    errors = {int(number) for number in re.findall(ERROR, output)}
    assert (revealed, errors) == expected(), output
