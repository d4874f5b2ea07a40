"""Printing: tables for people, JSON and YAML for programs, colours only where they are seen.

Text that came from a database was written by somebody else: it is never taken as markup, and
control characters in it, which could steer the terminal, are shown as escapes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "OUTPUT_WIDTH_UNBOUNDED",
    "Output",
    "OutputOption",
    "data_console",
    "dump_json",
    "notes_console",
    "plain",
    "print_document",
    "print_documents",
    "print_table",
    "print_value",
    "warn",
]

OUTPUT_WIDTH_UNBOUNDED = 10_000
"""Of a pipe: a program that reads a table wants whole lines."""

_TABS_AND_NEWLINES = {ord("\t"): " ", ord("\n"): "⏎", ord("\r"): None}


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[
    Output,
    typer.Option("--output", "-o", help="How to print: for people (table, wide) or programs."),
]


def data_console() -> Console:
    """Where data goes: standard output."""
    return _console(stderr=False)


def notes_console() -> Console:
    """Where progress, warnings and errors go: standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    # Made for each use: tests and shells exchange the streams under our feet.
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else OUTPUT_WIDTH_UNBOUNDED
    return Console(stderr=stderr, width=width, highlight=False, markup=False, soft_wrap=True)


def plain(text: str, *, width: int | None = None) -> str:
    """Make text safe for a terminal line: no control characters, at most `width` characters."""
    line = text.translate(_TABS_AND_NEWLINES)
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if width is not None and len(line) > width:
        return f"{line[: width - 1]}…"
    return line


def warn(message: str) -> None:
    """Tell of something that is not an error, on standard error."""
    notes_console().print(Text("warning: ", style="yellow") + Text(plain(message)))


def dump_json(document: object, *, indent: int | None = 2) -> str:
    """Write JSON as people read it: every letter as itself."""
    return json.dumps(document, indent=indent, ensure_ascii=False)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
) -> None:
    """Print rows under headings, with nothing drawn between them; columns in `right` end flush."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(plain(cell)) for cell in row))
    console = data_console()
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        sys.stdout.write(f"{line.rstrip()}\n")


def print_value(value: object, output: Output) -> None:
    """Print a value of an orchestration's own: as JSON, unless YAML is asked for."""
    if output is Output.YAML:
        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(f"{dump_json(value)}\n")


def print_document(document: Mapping[str, object], output: Output) -> None:
    """Print one thing as JSON or YAML."""
    if output is Output.YAML:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(f"{dump_json(document)}\n")


def print_documents(documents: Sequence[Mapping[str, object]], output: Output) -> None:
    """Print a list as one JSON array or YAML list."""
    if output is Output.YAML:
        sys.stdout.write(yaml.safe_dump(list(documents), sort_keys=False, allow_unicode=True))
    else:
        sys.stdout.write(f"{dump_json(list(documents))}\n")
