"""Which commands there are, where each is, and the program that is composed of them.

A module is imported only if its command is asked for, or if all of them are (for the help, or to
find what a misspelt word may have meant): most commands need no server, no compiler and no driver.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, cast

import typer
from rich.markup import escape

__all__ = ["COMMANDS", "GROUPS", "program"]

_HELP = """Durable execution for Python: run, start, watch and steer orchestrations.

Try one, with nothing else there: [cyan]perdure run hello.py name=Ada[/cyan]

\b
Exit codes:
   0  well                           3  no such instance
   1  the instance ended as          4  timed out; what was waited for goes on
      anything but Completed         5  the database cannot be reached
   2  wrong command, input,         70  a defect of Perdure
      code or setting              130  interrupted
"""

_TRY = "Try and measure"
_STEER = "Start and steer"
_LOOK = "Look"
_KEEP = "Keep and let go"
_SERVE = "Serve"


class Command(NamedTuple):
    """A command, and the function that it is."""

    name: str
    """With that of its group before it, where it is in one."""
    module: str
    """Within this package."""
    function: str
    panel: str


COMMANDS = (
    Command("run", "running", "run", _TRY),
    Command("bench", "bench.command", "bench", _TRY),
    Command("start", "starting", "start", _STEER),
    Command("result", "results", "result", _STEER),
    Command("rerun", "rerunning", "rerun", _STEER),
    Command("cancel", "control", "cancel", _STEER),
    Command("terminate", "control", "terminate", _STEER),
    Command("suspend", "control", "suspend", _STEER),
    Command("resume", "control", "resume", _STEER),
    Command("update", "asking", "update", _STEER),
    Command("complete", "deferred", "complete", _STEER),
    Command("fail", "deferred", "fail", _STEER),
    Command("event raise", "sending", "raise_event", _STEER),
    Command("event enqueue", "sending", "enqueue_event", _STEER),
    Command("list", "listing", "list_instances", _LOOK),
    Command("get", "getting", "get", _LOOK),
    Command("tree", "trees", "tree", _LOOK),
    Command("history", "history", "history", _LOOK),
    Command("watch", "watching", "watch", _LOOK),
    Command("query", "asking", "query", _LOOK),
    Command("kv get", "keys", "get_key", _LOOK),
    Command("kv wait", "keys", "wait_key", _LOOK),
    Command("stats", "stats", "stats", _LOOK),
    Command("pools", "pools", "pools", _LOOK),
    Command("delete", "deleting", "delete", _KEEP),
    Command("retire", "deleting", "retire", _KEEP),
    Command("prune", "deleting", "prune", _KEEP),
    Command("export", "archiving", "export", _KEEP),
    Command("import", "archiving", "import_archive", _KEEP),
    Command("check", "checking", "check", _TRY),
    Command("replay", "replaying", "replay", _TRY),
    Command("replayer", "serving", "replayer", _SERVE),
    Command("executor", "serving", "executor", _SERVE),
    Command("limit set", "limits", "set_limit", _SERVE),
    Command("limit list", "limits", "list_limits", _SERVE),
    Command("limit delete", "limits", "delete_limits", _SERVE),
    Command("db migrate", "databases", "migrate", _SERVE),
    Command("db status", "databases", "status", _SERVE),
    Command("db check", "databases", "check", _SERVE),
    Command("db grant-tag", "databases", "grant_tag", _SERVE),
    Command("version", "version", "version", _SERVE),
)

GROUPS = {
    "event": "Raise events, and add to queues.",
    "kv": "Read what instances keep for others to read.",
    "limit": "Limit how many of a key run at once.",
    "db": "Make and check the schema, and grant tags.",
}


def program(words: Sequence[str]) -> typer.Typer:
    """Compose the program, as far as a command line needs it."""
    app = typer.Typer(
        name="perdure",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    groups: dict[str, typer.Typer] = {}
    for command in _needed(words):
        group, _, name = command.name.rpartition(" ")
        if not group:
            _add(app, name, command)
            continue
        if group not in groups:
            groups[group] = typer.Typer(no_args_is_help=True, help=GROUPS[group])
            app.add_typer(groups[group], name=group, rich_help_panel=command.panel)
        _add(groups[group], name, command)
    return app


def _needed(words: Sequence[str]) -> Sequence[Command]:
    """Choose the command that the first word names, or all of its group; else all there are."""
    verb = words[0] if words else ""
    return [one for one in COMMANDS if one.name.split()[0] == verb] or COMMANDS


def _add(group: typer.Typer, name: str, command: Command) -> None:
    """Add a command whose help is its docstring, with the examples kept line by line."""
    module = import_module(f"perdure.cli.{command.module}")
    function = cast("Callable[..., None]", getattr(module, command.function))
    prose, _, examples = inspect.cleandoc(function.__doc__ or "").partition("Examples:\n")
    paragraphs = (" ".join(part.split()) for part in prose.strip().split("\n\n"))
    text = escape("\n\n".join(paragraphs))
    if examples:
        lines = (f"  [cyan]{escape(line.strip())}[/cyan]" for line in examples.splitlines())
        text += "\n\n\b\n[bold]Examples[/bold]\n" + "\n".join(lines)
    panel = None if " " in command.name else command.panel
    group.command(name, help=text, rich_help_panel=panel)(function)


def _root(
    *,
    debug: bool = typer.Option(  # noqa: ARG001  main takes it out; it is here for --help
        False, "--debug", help="Show tracebacks of errors; may stand anywhere."
    ),
) -> None:
    return
