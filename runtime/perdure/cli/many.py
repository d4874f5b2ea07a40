"""Doing one thing to many instances: what it would meet, the question, progress, the report."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.text import Text

from perdure.cli.describe import ago, counted
from perdure.cli.exits import ExitCode
from perdure.cli.output import notes_console, plain, warn
from perdure.client.bulk import BulkReport
from perdure.client.client import Client
from perdure.client.queries import Where
from perdure.errors import ConfigurationError
from perdure.providers.reading import InstanceStatus

__all__ = [
    "TERMINAL",
    "UNFINISHED",
    "AllOption",
    "DryRunOption",
    "YesOption",
    "agreed",
    "chosen",
    "narrowed",
    "preview",
    "progress",
    "report",
    "steer",
]

TERMINAL = tuple(status for status in InstanceStatus if status.is_terminal)
UNFINISHED = tuple(status for status in InstanceStatus if not status.is_terminal)
_SAMPLE = 5
_PANEL = "Which instances"

AllOption = Annotated[
    bool, typer.Option("--all", help="All of them, without conditions.", rich_help_panel=_PANEL)
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only show what it would meet.", rich_help_panel=_PANEL)
]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask first.", rich_help_panel=_PANEL)
]


def chosen(instances: Sequence[str] | None, where: Where, *, everything: bool) -> bool:
    """Say whether instances were chosen by conditions, rather than named.

    Raises:
        ConfigurationError: Both, or nothing at all, which could mean everything.
    """
    by_conditions = bool(where) or everything
    if instances and by_conditions:
        raise ConfigurationError(
            f"Name instances ({instances[0]!r}) or give conditions, not both of them"
        )
    if not instances and not by_conditions:
        raise ConfigurationError(
            "Name an INSTANCE, or choose many by conditions such as --name or --status (see "
            "--help), or all there are by --all"
        )
    return by_conditions


def narrowed(where: Where, meant: Sequence[InstanceStatus], verb: str) -> Where:
    """Keep the statuses that a verb can mean something for.

    Raises:
        ConfigurationError: None of those asked for is left.
    """
    asked = where.get("statuses", ())
    left = [status for status in meant if not asked or status in asked]
    if not left:
        raise ConfigurationError(
            f"Nothing that is {' or '.join(asked)} can be {verb}: that is for what is "
            f"{', '.join(meant)}"
        )
    return {**where, "statuses": left}


async def preview(client: Client, where: Where, verb: str) -> int:
    """Show what conditions meet, on standard error: how many by status, and the newest."""
    found = await client.bulk(**where).preview(sample=_SAMPLE)
    console = notes_console()
    by_status = ", ".join(f"{count} {status.value}" for status, count in found.counts.items())
    console.print(Text(f"{counted(found.total, 'instance')} to be {verb}", style="bold") + Text(
        f": {by_status}" if by_status else ""
    ))  # fmt: skip
    for info in found.sample:
        age = ago(info.created_at)
        console.print(Text(plain(f"  {info.instance}  {info.name}  {info.status.value}  {age}")))
    if found.total > len(found.sample):
        console.print(Text(f"  … and {found.total - len(found.sample)} older ones", style="dim"))
    return found.total


def agreed(question: str, *, is_sure: bool) -> bool:
    """Ask whether to go on.

    Raises:
        ConfigurationError: There is nobody to ask.
    """
    if is_sure:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question} There is nobody to ask: say --yes, or --dry-run")
    if typer.confirm(question, err=True):
        return True
    notes_console().print("Nothing was done.")
    return False


@contextmanager
def progress(verb: str, total: int) -> Generator[Callable[[int], None]]:
    """Show how far it is, where somebody looks."""
    console = notes_console()
    with console.status(f"0 of {total} {verb}") as shown:
        yield lambda done: shown.update(f"{done} of {total} {verb}")


def report(done: BulkReport, verb: str) -> None:
    """Say what became of it; exits with 1 if some could not be."""
    typer.echo(f"{counted(done.done, 'instance')} {verb}")
    for instance, why in done.failures:
        warn(f"{instance}: {why}")
    if done.failed:
        warn(f"{counted(done.failed, 'instance')} could not be {verb}")
        raise typer.Exit(ExitCode.FAILED)


async def steer(
    client: Client,
    where: Where,
    verb: str,
    act: Callable[[Callable[[int], None]], Awaitable[BulkReport]],
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Do one thing to all that conditions meet: show them, ask, do it, report."""
    total = await preview(client, where, verb)
    if dry_run or not total or not agreed(f"Shall they be {verb}?", is_sure=yes):
        return
    with progress(verb, total) as tell:
        done = await act(tell)
    report(done, verb)
