"""Sums the suites of a test run: `suite_report.py FOLDER SUITE...`.

FOLDER holds, for each suite, the ``SUITE.xml`` that pytest wrote and its exit code in
``SUITE.exit``. Prints a table and, last, a line ``N passed, N failed, N skipped``. Fails when
anything failed, was skipped, or did not run: a suite that died or found no test counts as failed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from xml.etree import ElementTree as ET


@dataclass(frozen=True, slots=True)
class Suite:
    """What one suite came to."""

    name: str
    passed: int
    failed: int
    skipped: int
    seconds: float
    remark: str = ""

    @classmethod
    def read(cls, folder: Path, name: str) -> Self:
        """The counts of `name`; a suite without a report failed as one test."""
        exit_code = _text(folder / f"{name}.exit")
        document = _text(folder / f"{name}.xml")
        if not document:
            return cls(
                name, 0, 1, 0, 0.0, f"no report (pytest ended with {exit_code or 'nothing'})"
            )
        # The report is our own pytest's, written a moment ago.
        found = ET.fromstring(document).find("testsuite")  # noqa: S314  because of the line above
        if found is None:
            return cls(name, 0, 1, 0, 0.0, "an empty report")
        tests, errors, failures, skipped = (
            int(found.get(key, "0")) for key in ("tests", "errors", "failures", "skipped")
        )
        failed = errors + failures
        remark = ""
        if failed == 0 and (exit_code != "0" or tests == 0):
            failed, remark = 1, f"pytest ended with {exit_code}"
        passed = max(tests - errors - failures - skipped, 0)
        return cls(name, passed, failed, skipped, float(found.get("time", "0")), remark)


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def report(suites: list[Suite]) -> str:
    """The table, and the line that says it all."""
    lines = [f"{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}"]
    lines += [
        f"{suite.name:<12}{suite.passed:>8}{suite.failed:>8}{suite.skipped:>9}"
        f"{suite.seconds:>9.1f}  {suite.remark}".rstrip()
        for suite in suites
    ]
    passed, failed, skipped = (
        sum(getattr(suite, field) for suite in suites) for field in ("passed", "failed", "skipped")
    )
    return "\n".join([*lines, f"{passed} passed, {failed} failed, {skipped} skipped"])


def main(arguments: list[str]) -> int:
    """0 when everything ran and passed."""
    folder, *names = arguments
    suites = [Suite.read(Path(folder), name) for name in names]
    print(report(suites))
    return int(not suites or any(suite.failed or suite.skipped for suite in suites))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
