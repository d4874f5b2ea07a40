"""The seed's tables: their names are there, nothing of ours is missing, the pages are theirs."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest

from perdure import ActivityContext, Client, OrchestrationContext, errors
from perdure.dispatch import ActivitySettings, TurnSettings
from perdure.executor.settings import ExecutorSettings, ProcessSettings, ReplayerSettings
from perdure.model import actions, events
from perdure.model.failure import FailureCategory
from perdure.model.limits import Limits
from perdure.model.records import Outcome, RecordKind
from perdure.providers.protocol import Provider
from perdure.telemetry import TABLE
from perdure.testing.semantics import (
    CLIENT,
    CONTEXT,
    TABLES,
    Table,
    names_page,
    resolve,
    semantics_page,
)

DOCS = Path(__file__).parents[2] / "docs"
ROWS = [(table.title, row) for table in TABLES for row in table.rows]
NAMED = {path for _, row in ROWS for path in row.ours}


def public(owner: type[Any]) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_every_name_is_there(table: Table) -> None:
    for path in {path for row in table.rows for path in row.ours}:
        resolve(path)  # raises, naming it


@pytest.mark.parametrize(
    "path", ["ctx.wish", "metric:wish", "env:WISH", "wish.of", "events.Wish.at"]
)
def test_what_is_not_there_is_found(path: str) -> None:
    with pytest.raises(LookupError):
        resolve(path)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_every_row_has_an_answer(table: Table) -> None:
    for row in table.rows:
        assert row.seed
        assert row.difference
        assert row.ours or row.difference.startswith(("not there: ", "likewise")), row


def found_in(prefix: str, names: list[str]) -> list[str]:
    return [name for name in names if f"{prefix}.{name}" not in NAMED]


@pytest.mark.parametrize(
    ("prefix", "owner"),
    [("ctx", OrchestrationContext), ("client", Client), ("ActivityContext", ActivityContext)],
)
def test_no_method_of_ours_is_missing(prefix: str, owner: type[Any]) -> None:
    assert found_in(prefix, public(owner)) == []


def test_no_verb_of_storage_is_missing() -> None:
    assert found_in("provider", public(Provider)) == []


@pytest.mark.parametrize(
    "settings",
    [TurnSettings, ActivitySettings, ProcessSettings, ReplayerSettings, ExecutorSettings, Limits],
)
def test_no_setting_is_missing(settings: Any) -> None:
    assert found_in(settings.__name__, [field.name for field in fields(settings)]) == []


def test_no_event_is_missing() -> None:
    kinds = [
        name
        for name, kind in vars(events).items()
        if isinstance(kind, type) and issubclass(kind, events.Event)
    ]
    assert found_in("events", kinds) == []


def test_no_decision_is_missing() -> None:
    kinds = [kind.__name__ for kind in get_args(actions.Action.__value__)]
    assert found_in("actions", kinds) == []


@pytest.mark.parametrize(
    ("prefix", "enum"),
    [("records.RecordKind", RecordKind), ("failure.FailureCategory", FailureCategory)],
)
def test_no_member_is_missing(prefix: str, enum: type[Enum]) -> None:
    assert found_in(prefix, [member.name for member in enum]) == []


def test_no_outcome_is_missing() -> None:
    beside = {
        Outcome.COMPLETED: "events.OrchestrationCompleted",
        Outcome.FAILED: "events.OrchestrationFailed",
        Outcome.CONTINUED_AS_NEW: "events.OrchestrationContinuedAsNew",
    }
    named = [beside.get(each, f"records.Outcome.{each.name}") for each in Outcome]
    assert [name for name in named if name not in NAMED] == []


def test_no_error_is_missing() -> None:
    assert found_in("errors", errors.__all__) == []


def test_no_metric_is_missing() -> None:
    assert [spec.name for spec in TABLE if f"metric:{spec.name}" not in NAMED] == []


@pytest.mark.parametrize("variable", ["PERDURE_SLOTS", "PERDURE_HISTORY_LIMIT", "PERDURE_TRIPWIRE"])
def test_settings_are_named(variable: str) -> None:
    assert f"env:{variable}" in NAMED


def test_no_setting_of_the_page_of_operations_is_missing() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    found = {cell.strip(" `") for line in page.splitlines() for cell in line.split("|")[1:2]}
    settings = sorted(name for name in found if name.startswith("PERDURE_"))
    assert len(settings) > 20
    assert [name for name in settings if f"env:{name}" not in NAMED] == []


def of_the_seed(title: str) -> list[str]:
    return [row.seed for found, row in ROWS if found == title and row.seed != "–"]


@pytest.mark.parametrize(
    ("title", "number"),
    [
        ("The envelope of an event", 7),
        ("Kinds of events", 26),
        ("Why something open was given up", 5),
        ("What a turn may decide", 11),
        ("Work items", 11),
        ("Strays", 9),
        ("Metrics", 30),
        ("Methods of the client", 34),
        ("Methods of the context", 62),
    ],
)
def test_nothing_of_the_seed_is_missing(title: str, number: int) -> None:
    found = of_the_seed(title)
    assert len(found) == len(set(found)) == number


@pytest.mark.parametrize("name", [row.seed for row in CONTEXT.rows])
def test_its_context_is_here_under_its_own_names(name: str) -> None:
    assert hasattr(OrchestrationContext, name)


@pytest.mark.parametrize("name", [row.seed for row in CLIENT.rows])
def test_its_client_is_here_under_its_own_names(name: str) -> None:
    assert hasattr(Client, name)


@pytest.mark.parametrize("table", [CONTEXT, CLIENT], ids=lambda table: table.title)
def test_spellings_are_python(table: Table) -> None:
    for row in table.rows:
        compile(row.ours[0], "spelling", "exec")


def test_the_pages_are_what_the_tables_say() -> None:
    write = "run: python -m perdure.testing.semantics [names] > docs/…"
    assert (DOCS / "semantics.md").read_text(encoding="utf-8") == semantics_page(TABLES), write
    assert (DOCS / "seed-names.md").read_text(encoding="utf-8") == names_page(), write
