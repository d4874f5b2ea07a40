"""The edge of the command line: where errors become a line and an exit code.

`main` is both `perdure` and `kubectl-perdure`, told apart by the name it was called by.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from rich.text import Text

from perdure.cli import kubectl
from perdure.cli.commands import program
from perdure.cli.exits import ExitCode, exit_code_of, message_of
from perdure.cli.output import notes_console, plain

__all__ = ["main"]


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
        program(words)(words, prog_name="perdure")
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
