"""What the exit code says, and how an error becomes one line.

Scripts act on exit codes, people on messages: each error that can reach the edge of the command
line has one of either. A traceback is for whoever asks for it with `--debug`.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum

from perdure.errors import (
    AuthorError,
    CallerError,
    ConfigurationError,
    InstanceNotFoundError,
    OutcomeError,
    PerdureError,
    ProviderError,
    ResultTimeoutError,
)

__all__ = ["ClusterError", "ExitCode", "InstanceEndedError", "exit_code_of", "message_of"]


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    """The instance ended as anything but Completed."""
    USAGE = 2
    """The command, its input, the code it names or a setting is wrong; nothing was done."""
    NOT_FOUND = 3
    TIMED_OUT = 4
    """The wait is over; what was waited for goes on."""
    UNREACHABLE = 5
    """The database, or the cluster, cannot be reached or lacks its schema."""
    DEFECT = 70
    """A defect of Perdure itself."""
    INTERRUPTED = 130


class InstanceEndedError(OutcomeError):
    """The instance that a command waited for ended as anything but Completed."""


class ClusterError(PerdureError):
    """The cluster does not answer, or has no pod to run a command in."""


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (asyncio.CancelledError, ExitCode.INTERRUPTED),
    (InstanceNotFoundError, ExitCode.NOT_FOUND),
    (ResultTimeoutError, ExitCode.TIMED_OUT),
    (ProviderError, ExitCode.UNREACHABLE),
    (ClusterError, ExitCode.UNREACHABLE),
    (OutcomeError, ExitCode.FAILED),
    (ConfigurationError, ExitCode.USAGE),
    (AuthorError, ExitCode.USAGE),
    (CallerError, ExitCode.USAGE),
)
"""The first that fits holds: the special stand before the general."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Choose the exit code for what ended a command."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.DEFECT


def message_of(error: BaseException) -> str:
    """Say in one line what happened and what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, ClusterError):
        return text
    match exit_code_of(error):
        case ExitCode.INTERRUPTED:
            return "interrupted"
        case ExitCode.UNREACHABLE:
            return (
                f"{text}. Check --database-url (PERDURE_DATABASE_URL), that the server answers, "
                "and that `perdure db migrate` has run."
            )
        case ExitCode.DEFECT:
            return (
                f"{type(error).__name__}: {text}. This is a defect of Perdure: please report it "
                "with the traceback that --debug prints."
            )
        case _:
            return text or type(error).__name__
