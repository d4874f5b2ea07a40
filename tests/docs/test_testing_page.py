"""The page about testing: its program runs for whoever copies it, and it names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.testing import Environment, RunUnderTest

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
CODE, TESTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def run_pytest(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_program_runs(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(CODE)
    (tmp_path / "test_shop.py").write_text(TESTS)
    (tmp_path / "histories").mkdir()
    run_pytest(
        tmp_path, "--update-golden", "--deselect", "test_shop.py::test_old_runs_still_replay"
    )
    assert "9 passed" in run_pytest(tmp_path)
    seeded = run_pytest(tmp_path, "--orch-seed", "7", "-k", "not history_is_the_one")
    assert "8 passed" in seeded


@pytest.mark.parametrize("kind", [Environment, RunUnderTest])
def test_everything_public_is_named(kind: type[object]) -> None:
    quiet = {"register", "wait", "close", "until_ended", "faults", "handle", "instance_id"}
    names = [name for name in vars(kind) if not name.startswith("_") and name not in quiet]
    assert [name for name in names if not re.search(rf"\b{name}\b", PAGE)] == []


def test_its_options_are_pytests() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True
    )
    for option in re.findall(r"(?<!-)(--[a-z]+-[a-z]+)\b", PAGE):
        assert option in done.stdout
