"""In scope: that no way for a suite to go wrong is counted as success."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_REPORT = Path(__file__).resolve().parents[2] / "tools" / "suite_report.py"
_XML = (
    '<testsuites><testsuite name="pytest" tests="{}" errors="{}" failures="{}" skipped="{}" '
    'time="1.5"/></testsuites>'
)


def _sum(folder: Path, *suites: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, _REPORT, folder, *suites], capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()[-1]


def _write(folder: Path, suite: str, counts: tuple[int, int, int, int], exit_code: int) -> None:
    (folder / f"{suite}.xml").write_text(_XML.format(*counts))
    (folder / f"{suite}.exit").write_text(f"{exit_code}\n")


def test_suites_that_passed_are_summed(tmp_path: Path) -> None:
    _write(tmp_path, "model", (3, 0, 0, 0), 0)
    _write(tmp_path, "replay", (4, 0, 0, 0), 0)
    assert _sum(tmp_path, "model", "replay") == (0, "7 passed, 0 failed, 0 skipped")


@pytest.mark.parametrize(
    ("counts", "exit_code", "said"),
    [
        ((5, 0, 2, 0), 1, "3 passed, 2 failed, 0 skipped"),
        ((5, 1, 0, 0), 1, "4 passed, 1 failed, 0 skipped"),
        ((5, 0, 0, 1), 0, "4 passed, 0 failed, 1 skipped"),
        ((0, 0, 0, 0), 5, "0 passed, 1 failed, 0 skipped"),
        ((0, 0, 0, 0), 0, "0 passed, 1 failed, 0 skipped"),
        ((5, 0, 0, 0), 3, "5 passed, 1 failed, 0 skipped"),
    ],
    ids=["failures", "errors", "skips", "no-tests", "no-tests-yet-success", "pytest-broke"],
)
def test_anything_else_fails(
    tmp_path: Path, counts: tuple[int, int, int, int], exit_code: int, said: str
) -> None:
    _write(tmp_path, "model", counts, exit_code)
    assert _sum(tmp_path, "model") == (1, said)


def test_a_suite_that_died_without_a_report_failed(tmp_path: Path) -> None:
    (tmp_path / "model.exit").write_text("139\n")
    assert _sum(tmp_path, "model") == (1, "0 passed, 1 failed, 0 skipped")


def test_no_suite_at_all_is_not_success(tmp_path: Path) -> None:
    assert _sum(tmp_path)[0] == 1
