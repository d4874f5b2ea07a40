"""The composition of the command line, and its edge: where errors become a line and an exit code.

`main` is both `perdure` and `kubectl-perdure`, told apart by the name it was called by.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import typer
from rich.markup import escape
from rich.text import Text

from perdure.cli import (
    archiving,
    asking,
    checking,
    control,
    databases,
    deferred,
    deleting,
    getting,
    history,
    keys,
    kubectl,
    limits,
    listing,
    pools,
    replaying,
    rerunning,
    results,
    running,
    sending,
    serving,
    starting,
    stats,
    trees,
    version,
    watching,
)
from perdure.cli.bench.command import bench
from perdure.cli.exits import ExitCode, exit_code_of, message_of
from perdure.cli.output import notes_console, plain

__all__ = ["app", "main"]

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

app = typer.Typer(
    name="perdure",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(
    group: typer.Typer, name: str, function: Callable[..., None], panel: str | None = None
) -> None:
    """Add a command whose help is its docstring, with the examples kept line by line."""
    prose, _, examples = inspect.cleandoc(function.__doc__ or "").partition("Examples:\n")
    text = escape(prose.strip())
    if examples:
        lines = (f"  [cyan]{escape(line.strip())}[/cyan]" for line in examples.splitlines())
        text += "\n\n\b\n[bold]Examples[/bold]\n" + "\n".join(lines)
    group.command(name, help=text, rich_help_panel=panel)(function)


_add(app, "run", running.run, _TRY)
_add(app, "bench", bench, _TRY)
_add(app, "start", starting.start, _STEER)
_add(app, "result", results.result, _STEER)
_add(app, "cancel", control.cancel, _STEER)
_add(app, "terminate", control.terminate, _STEER)
_add(app, "suspend", control.suspend, _STEER)
_add(app, "resume", control.resume, _STEER)
_add(app, "rerun", rerunning.rerun, _STEER)
_add(app, "update", asking.update, _STEER)
_add(app, "complete", deferred.complete, _STEER)
_add(app, "fail", deferred.fail, _STEER)
_add(app, "list", listing.list_instances, _LOOK)
_add(app, "get", getting.get, _LOOK)
_add(app, "tree", trees.tree, _LOOK)
_add(app, "history", history.history, _LOOK)
_add(app, "watch", watching.watch, _LOOK)
_add(app, "query", asking.query, _LOOK)
_add(app, "stats", stats.stats, _LOOK)
_add(app, "pools", pools.pools, _LOOK)
_add(app, "delete", deleting.delete, _KEEP)
_add(app, "retire", deleting.retire, _KEEP)
_add(app, "prune", deleting.prune, _KEEP)
_add(app, "export", archiving.export, _KEEP)
_add(app, "import", archiving.import_archive, _KEEP)
_add(app, "check", checking.check, _TRY)
_add(app, "replay", replaying.replay, _TRY)
_add(app, "replayer", serving.replayer, _SERVE)
_add(app, "executor", serving.executor, _SERVE)
_add(app, "version", version.version, _SERVE)

_event = typer.Typer(no_args_is_help=True, help="Raise events, and add to queues.")
_add(_event, "raise", sending.raise_event)
_add(_event, "enqueue", sending.enqueue_event)
app.add_typer(_event, name="event", rich_help_panel=_STEER)

_kv = typer.Typer(no_args_is_help=True, help="Read what instances keep for others to read.")
_add(_kv, "get", keys.get_key)
_add(_kv, "wait", keys.wait_key)
app.add_typer(_kv, name="kv", rich_help_panel=_LOOK)

_limit = typer.Typer(no_args_is_help=True, help="Limit how many of a key run at once.")
_add(_limit, "set", limits.set_limit)
_add(_limit, "list", limits.list_limits)
_add(_limit, "delete", limits.delete_limits)
app.add_typer(_limit, name="limit", rich_help_panel=_SERVE)

_db = typer.Typer(no_args_is_help=True, help="Make and check the schema, and grant tags.")
_add(_db, "migrate", databases.migrate)
_add(_db, "status", databases.status)
_add(_db, "check", databases.check)
_add(_db, "grant-tag", databases.grant_tag)
app.add_typer(_db, name="db", rich_help_panel=_SERVE)


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction]  typer calls it
    *,
    debug: bool = typer.Option(  # noqa: ARG001  main takes it out; it is here for --help
        False, "--debug", help="Show tracebacks of errors; may stand anywhere."
    ),
) -> None:
    return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    words, is_debug = _without_debug(words)
    is_plugin = arguments is None and Path(sys.argv[0]).name.startswith(kubectl.PLUGIN_NAMES)
    if not is_debug and not logging.root.handlers:
        # What a command has to say it says itself; processes set up logs of their own.
        logging.root.addHandler(logging.NullHandler())
    try:
        if is_plugin:
            return kubectl.run_in_cluster(words)
        app(words, prog_name="perdure")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:  # `perdure list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the edge: every error becomes a line
        return _report(error, is_debug=is_debug)
    return ExitCode.OK


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    end = words.index("--") if "--" in words else len(words)
    head = [word for word in words[:end] if word != "--debug"]
    is_debug = len(head) < end or bool(os.environ.get("PERDURE_DEBUG"))
    return head + words[end:], is_debug


def _report(error: BaseException, *, is_debug: bool) -> int:
    while isinstance(error, BaseExceptionGroup):  # a task group wraps what ended it
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    if is_debug:
        traceback.print_exception(error)
    notes_console().print(Text("error: ", style="bold red") + Text(plain(message_of(error))))
    return exit_code_of(error)


if __name__ == "__main__":
    sys.exit(main())
