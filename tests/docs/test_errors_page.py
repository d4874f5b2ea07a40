"""The page of errors names every class, under its root, and says what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from perdure import errors
from perdure.cli.exits import ExitCode

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| `")
]
SECTIONS = {
    errors.AuthorError: "For the author of orchestrations and activities",
    errors.CallerError: "For whoever calls the client",
    errors.OutcomeError: "Outcomes",
}


def test_every_class_has_one_row() -> None:
    named = [row[0].strip(" `") for row in ROWS]
    assert sorted(named) == sorted(set(errors.__all__) - {"PerdureError"})
    assert "`PerdureError`" in PAGE


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip(" `") for row in ROWS])
def test_a_row_says_when_and_what_to_do(row: list[str]) -> None:
    _, when, remedy = row
    assert len(when) > 10
    assert len(remedy) > 5


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"PerdureError"}))
def test_a_class_stands_under_who_must_act(name: str) -> None:
    kind: Any = getattr(errors, name)
    section = next(
        (title for root, title in SECTIONS.items() if issubclass(kind, root)),
        "For whoever runs the system",
    )
    text = PAGE[PAGE.index(f"## {section}") :]
    text = text[: text.find("\n## ", 3)] if "\n## " in text[3:] else text
    assert f"| `{name}` |" in text


def test_every_exit_code_is_named() -> None:
    text = PAGE[PAGE.index("## At the command line") :]
    found = {int(number) for number in re.findall(r"\b(\d+) [a-z]", text)}
    assert found == {int(code) for code in ExitCode} - {0}
