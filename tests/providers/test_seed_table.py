from __future__ import annotations

from pathlib import Path

from perdure.testing.conformance import CHECKS
from perdure.testing.conformance.seed import known_names, table

PAGE = Path(__file__).parents[2] / "docs" / "seed-conformance.md"


def test_every_name_that_a_check_stands_for_is_known() -> None:
    known = {f"{section}.{name}" for section, names in known_names().items() for name in names}
    assert {name for check in CHECKS for name in check.seed} <= known


def test_checks_have_names_of_their_own() -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))


def test_a_seed_test_without_a_check_has_a_reason() -> None:
    assert [line for line in table().splitlines() if line.endswith("— |")] == []


def test_the_page_is_up_to_date() -> None:
    write = "python -m perdure.testing.conformance.seed > docs/seed-conformance.md"
    assert PAGE.read_text() == table(), f"run: {write}"
