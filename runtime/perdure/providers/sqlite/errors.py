"""What went wrong in SQLite, sorted by whether asking again may help, with what to do.

What another moment can heal is retryable: somebody else writes, the disk is full or gave an error.
What says that the file or the call is wrong is not: no permission, no database, a damaged one.
"""

from __future__ import annotations

import sqlite3

from perdure.errors import PayloadError, PerdureError, ProviderError

__all__ = ["translate"]

_BUSY = (
    "another process, or a transaction that was left open, has been writing to the file for too "
    "long; keep transactions short"
)
_READONLY = (
    "the file is read-only; give this user the right to write the file and its folder, and put it "
    "on a file system that is mounted for writing"
)
_CANTOPEN = (
    "the file cannot be opened; the folder must exist, and this user must be allowed to make files "
    "in it"
)
_CORRUPT = (
    "the file is damaged; restore a copy, or save what can be read with `sqlite3 FILE .recover`"
)
_SAID = {
    sqlite3.SQLITE_BUSY: (_BUSY, True),
    sqlite3.SQLITE_LOCKED: ("a table is in use by another connection of this process", True),
    sqlite3.SQLITE_FULL: ("the disk is full; make room", True),
    sqlite3.SQLITE_IOERR: ("the file system gives errors; look at the disk and at its logs", True),
    sqlite3.SQLITE_NOMEM: ("out of memory", True),
    sqlite3.SQLITE_INTERRUPT: ("it was interrupted", True),
    sqlite3.SQLITE_PROTOCOL: ("too many processes lock the file at once", True),
    sqlite3.SQLITE_READONLY: (_READONLY, False),
    sqlite3.SQLITE_PERM: ("no permission; give this user the right to write the file", False),
    sqlite3.SQLITE_CANTOPEN: (_CANTOPEN, False),
    sqlite3.SQLITE_CORRUPT: (_CORRUPT, False),
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database; name another", False),
}
_PRIMARY = 0xFF
"""The rest of a code of SQLite tells the variety."""


def translate(operation: str, error: BaseException, file: str) -> PerdureError:
    """Say in Perdure's words what `error` means for the verb `operation`."""
    match error:
        case PerdureError():
            return error
        case UnicodeEncodeError():
            return PayloadError(f"{operation}: a lone surrogate cannot be stored: {error}")
        case sqlite3.DataError():
            return PayloadError(f"{operation}: what SQLite cannot store: {error}")
        case sqlite3.Error():
            code = getattr(error, "sqlite_errorcode", 0)
            said, retryable = _SAID.get(code & _PRIMARY, ("", False))
            reason = f"{error} ({getattr(error, 'sqlite_errorname', type(error).__name__)})"
            what = f"{file}: {reason}"
            return ProviderError(
                operation, f"{what}: {said}" if said else what, retryable=retryable
            )
        case _:
            return ProviderError(operation, f"{type(error).__name__}: {error}", retryable=False)
