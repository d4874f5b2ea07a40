"""`perdure check`: read the source of orchestrations for what would break their replay.

`perdure replay` needs histories and says what *did* change; this needs nothing but the source and
says what *may* go wrong, on the line where it is written. It belongs into a pre-commit hook and CI.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

import typer

from perdure.checking import RULES, Finding, Report
from perdure.checking import check as check_sources
from perdure.cli.exits import ExitCode
from perdure.cli.output import dump_json, notes_console, plain
from perdure.errors import ConfigurationError

__all__ = ["check"]


class CheckOutput(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def check(
    *,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH|MODULE]...",
            help="Files, folders or modules; by default the current folder.",
            show_default=False,
        ),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", help="Only codes that begin so, e.g. PD1; parted by commas."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="No codes that begin so; parted by commas."),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option("--explain", metavar="CODE", help="Say what a code means; `all`: every one."),
    ] = None,
    output: Annotated[
        CheckOutput,
        typer.Option("--output", "-o", help="For people, programs, or annotations on GitHub."),
    ] = CheckOutput.TEXT,
) -> None:
    """Check the source of orchestrations for what would break their replay.

    Imports and runs nothing. Looks into every function under @orchestration and the helpers that it
    reaches within the checked files. Exits with 1 if anything is found. What is right as it is gets
    a comment on its line: # perdure: allow PD101 because ...

    Examples:
        perdure check
        perdure check shop.orders --ignore PD114,PD116
        perdure check src/ -o github
        perdure check --explain PD107
    """
    if explain is not None:
        sys.stdout.write(_explained(explain.upper()))
        return
    report = check_sources(targets or ["."], select=_codes(select), ignore=_codes(ignore))
    match output:
        case CheckOutput.TEXT:
            sys.stdout.writelines(
                f"{each.path}:{each.line}:{each.column}: {each.code} {plain(each.message)}\n"
                for each in report.findings
            )
            notes_console().print(_summary(report))
        case CheckOutput.JSON:
            sys.stdout.write(f"{dump_json([_document(each) for each in report.findings])}\n")
        case CheckOutput.GITHUB:
            sys.stdout.writelines(_annotation(each) for each in report.findings)
    if report.findings:
        raise typer.Exit(ExitCode.FAILED)


def _codes(options: Iterable[str] | None) -> Sequence[str]:
    return [part.strip().upper() for text in options or () for part in text.split(",") if part]


def _summary(report: Report) -> str:
    looked = (
        f"{_many(report.orchestrations, 'orchestration')} and "
        f"{_many(report.activities, 'activity', 'activities')} in {_many(report.files, 'file')}"
    )
    if not report.findings:
        return f"Nothing found in {looked}"
    counts = Counter(each.code for each in report.findings)
    listed = ", ".join(f"{code} ×{count}" for code, count in sorted(counts.items()))
    return (
        f"{_many(len(report.findings), 'finding')} in {looked}: {listed}. "
        f"See perdure check --explain {min(counts)}"
    )


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def _document(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "title": RULES[finding.code].title,
        "path": finding.path,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
    }


def _annotation(finding: Finding) -> str:
    """Write one command of GitHub's; its own signs are escaped in what we say."""
    path = _escaped(finding.path).replace(":", "%3A").replace(",", "%2C")
    title = f"{finding.code} {RULES[finding.code].title}".replace(":", "%3A").replace(",", "%2C")
    return (
        f"::error file={path},line={finding.line},col={finding.column},title={title}"
        f"::{_escaped(finding.message)}\n"
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _explained(code: str) -> str:
    rules = list(RULES.values()) if code == "ALL" else [RULES[code]] if code in RULES else []
    if not rules:
        raise ConfigurationError(f"There is no code {code}; there are {', '.join(RULES)}")
    return "\n".join(
        f"{rule.code}: {rule.title}\n\n  {rule.why}\n  {rule.instead}\n" for rule in rules
    )
