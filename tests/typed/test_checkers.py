"""Both checkers infer what users rely on, and refuse what is wrong, line by line.

The mistakes are kept as text, so that checking the project does not stumble over them. Each
checker runs once, over everything: starting one is most of its time.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[2]
COMMANDS = {
    "mypy": [sys.executable, "-m", "mypy", "--no-error-summary"],
    "pyright": [sys.executable, "-m", "pyright"],
}
FOUND = re.compile(r"([\w/.-]+\.py):(\d+)(?::\d+)?(?: -|:) error.*")
MARK = "  # error: "


def copied_mistakes(folder: Path) -> list[Path]:
    """Make modules of the texts; their names must not be those of what they import."""
    copies: list[Path] = []
    for text in sorted((HERE / "bad").glob("*.txt")):
        copies.append(folder / f"wrong_{text.stem}.py")
        copies[-1].write_text(text.read_text())
    return copies


@pytest.mark.parametrize("checker", COMMANDS)
def test_every_mistake_is_told_and_nothing_else(checker: str, tmp_path: Path) -> None:
    mistakes = copied_mistakes(tmp_path)
    good = sorted((HERE / "good").glob("*.py"))
    done = subprocess.run(
        [*COMMANDS[checker], *map(str, [*good, *mistakes])],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )
    output = done.stdout + done.stderr
    found = {(Path(file).name, int(line)) for file, line in FOUND.findall(output)}
    expected = {
        (path.name, number)
        for path in mistakes
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if MARK in line
    }
    assert good
    assert len(expected) > 30
    assert found == expected, f"{found ^ expected}\n{output}"
