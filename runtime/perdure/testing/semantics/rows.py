"""Rows of the tables, how they are written, and what the names in them stand for.

A table is written as text, a row a line, indented lines going on with it::

    seed | ours, ours | the difference
        goes on

`ours` names code by dotted paths, so that each can be looked up: `events.TimerFired` is
`perdure.model.events.TimerFired`, by the first words of `PLACES`. Beside them stand `env:NAME`, a
setting of processes, `metric:NAME`, a metric, and `-` where nothing of ours answers.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from perdure.telemetry import TABLE

__all__ = ["PLACES", "Row", "Table", "resolve", "shown"]

PLACES = {
    "ActivityContext": "perdure.replay.activity_context.ActivityContext",
    "ActivitySettings": "perdure.dispatch.settings.ActivitySettings",
    "Limits": "perdure.model.limits.Limits",
    "ProcessSettings": "perdure.executor.settings.ProcessSettings",
    "ReplayerSettings": "perdure.executor.settings.ReplayerSettings",
    "ExecutorSettings": "perdure.executor.settings.ExecutorSettings",
    "Retry": "perdure.model.policy.Retry",
    "TurnSettings": "perdure.dispatch.settings.TurnSettings",
    "actions": "perdure.model.actions",
    "administering": "perdure.providers.administering",
    "client": "perdure.client.client.Client",
    "ctx": "perdure.replay.context.OrchestrationContext",
    "errors": "perdure.errors",
    "events": "perdure.model.events",
    "failure": "perdure.model.failure",
    "handle": "perdure.client.handle.InstanceHandle",
    "provider": "perdure.providers.protocol.Provider",
    "reading": "perdure.providers.reading",
    "records": "perdure.model.records",
    "work": "perdure.providers.work",
}
"""What the first word of a path stands for; any other path begins at `perdure`."""

_SOURCES = Path(__file__).parents[2]
_METRICS = {spec.name for spec in TABLE}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what the seed has, what stands for it here, and what is different."""

    seed: str
    ours: tuple[str, ...]
    """Empty: nothing does, and `difference` says why."""
    difference: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table, under its heading."""

    title: str
    rows: tuple[Row, ...]
    before: str = ""
    """A sentence or two above it."""

    @classmethod
    def of(cls, title: str, text: str, before: str = "", *, spelled: bool = False) -> Table:
        """Read a table from its text, as the head of this module has it.

        Args:
            title: Its heading.
            text: Its rows.
            before: What stands above it.
            spelled: The second cells are code, each taken as it is.

        Raises:
            ValueError: a row has not three cells.
        """
        lines: list[str] = []
        for line in dedent(text).strip().splitlines():
            if line.startswith(" "):
                lines[-1] += " " + line.strip()
            elif line:
                lines.append(line)
        rows = tuple(_row(line, is_spelled=spelled) for line in lines)
        return cls(title, rows, " ".join(before.split()))


def _row(line: str, *, is_spelled: bool) -> Row:
    cells = [cell.strip() for cell in line.split(" | ")]
    if len(cells) != 3:  # noqa: PLR2004  as the head says
        msg = f"a row has {len(cells)} cells instead of three: {line}"
        raise ValueError(msg)
    seed, ours, difference = cells
    if is_spelled:
        return Row(seed, (ours,), difference)
    paths = () if ours == "-" else tuple(path.strip() for path in ours.split(","))
    return Row(seed, paths, difference)


def resolve(path: str) -> object:
    """Look up what a path names.

    Raises:
        LookupError: there is no such thing.
    """
    kind, is_kind, name = path.partition(":")
    if is_kind:
        if kind == "metric" and name in _METRICS:
            return name
        if kind == "env" and _is_read(name):
            return name
        msg = f"there is no {kind} {name!r}"
        raise LookupError(msg)
    head, _, tail = path.partition(".")
    place = "perdure" if head == "perdure" else PLACES.get(head, f"perdure.{head}")
    full = place.split(".") + (tail.split(".") if tail else [])
    found, rest = _module(full)
    for part in rest:
        found = _member(found, part, path)
    return found


def _module(parts: list[str]) -> tuple[Any, list[str]]:
    """Import as much of a path as is modules."""
    found: Any = importlib.import_module(parts[0])
    for n in range(1, len(parts)):
        if (
            not (_SOURCES / Path(*parts[1:n], parts[n])).with_suffix(".py").exists()
            and not (_SOURCES / Path(*parts[1 : n + 1]) / "__init__.py").exists()
        ):
            return found, parts[n:]
        found = importlib.import_module(".".join(parts[: n + 1]))
    return found, []


def _member(owner: Any, name: str, path: str) -> object:
    if hasattr(owner, name):
        return getattr(owner, name)
    if is_dataclass(owner) and name in {field.name for field in fields(owner)}:
        return name
    msg = f"there is no {path!r}"
    raise LookupError(msg)


def _is_read(variable: str) -> bool:
    """Say whether a setting is read anywhere in the code."""
    return any(
        f'"{variable}"' in source.read_text(encoding="utf-8")
        for source in _SOURCES.rglob("*.py")
        if "semantics" not in source.parts
    )


def shown(path: str) -> str:
    """Write a path as the page shows it."""
    return f"`{path.partition(':')[2] or path}`"
