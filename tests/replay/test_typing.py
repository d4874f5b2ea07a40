"""Both checkers infer what users rely on, and refuse what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "inference"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_golden_files_check(checker: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", checker, *map(str, sorted(FILES.glob("*.py")))],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
