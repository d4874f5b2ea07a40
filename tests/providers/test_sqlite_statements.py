"""That no statement of the hot path reads a table through, and that each is used."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from perdure.providers import sqlite
from perdure.providers.sqlite.schema import connect, prepare
from perdure.providers.sqlite.statements import statements

_FOLDER = Path(str(resources.files(sqlite)))
_FILES = sorted(
    path.stem for path in (_FOLDER / "sql").iterdir() if path.stem not in {"schema", "reading"}
)
_GROW = ("instance", "live", "event", "activity", "timer", "early", "key", "answer", "question")
_MAY_READ_ALL = {"count_ended", "count_unfinished", "count_records", "count_due"} | {
    "count_activities", "count_timers", "count_early",
}  # fmt: skip


@pytest.mark.parametrize("file", _FILES)
def test_no_statement_reads_a_growing_table_through(file: str) -> None:
    scanned = re.compile(rf"SCAN (perdure_)?({'|'.join(_GROW)}|[a-z])\b")
    with closing(connect(":memory:", busy_seconds=0)) as connection:
        prepare(connection, "memory")
        for name, text in statements(file).items():
            if name in _MAY_READ_ALL or text.startswith(("pragma", "begin", "commit", "rollback")):
                continue
            for plan in _plan(connection, text):
                assert not scanned.match(plan), f"{file}.{name}: {plan}"


def _plan(connection: sqlite3.Connection, text: str) -> list[str]:
    if text.startswith(("savepoint", "release")):
        return []
    for places in range(20):
        try:
            rows = connection.execute(f"explain query plan {text}", (None,) * places).fetchall()
        except sqlite3.ProgrammingError:  # another number of places
            continue
        return [row[3] for row in rows]
    raise AssertionError(text)


def test_every_statement_is_used() -> None:
    modules = [path.read_text() for path in _FOLDER.glob("*.py")]
    for file in (*_FILES, "reading"):
        code = "".join(each for each in modules if f'statements("{file}")' in each)
        for name in statements(file):
            made = f'"{name.partition("_")[0]}_{{'
            assert f'"{name}"' in code or f"'{name}'" in code or made in code, f"{file}.{name}"
