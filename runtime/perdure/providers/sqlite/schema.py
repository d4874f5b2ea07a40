"""Opening a file, and bringing its tables to this release."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress

from perdure.errors import ConfigurationError
from perdure.providers.sqlite.statements import schema_script, statements

__all__ = ["VERSION", "connect", "prepare", "use_wal", "version_of"]

VERSION = 1
"""Of the tables that this release works with."""

_SQL = statements("schema_steps")
_STATEMENTS_CACHED = 256
_RETRY_SECONDS = 0.005


def connect(path: str, *, busy_seconds: float) -> sqlite3.Connection:
    """Open one connection, which may move from thread to thread."""
    return sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_CACHED,
    )


def use_wal(connection: sqlite3.Connection, *, busy_seconds: float) -> None:
    """Let readers and one writer work beside one another.

    Changing to it is the one thing for which SQLite does not wait by itself while others, who may
    be changing to it too, have the file.
    """
    give_up_at = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute(_SQL["journal"])
        except sqlite3.OperationalError as error:
            if (
                error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY
                or time.monotonic() > give_up_at
            ):
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def version_of(connection: sqlite3.Connection) -> int:
    """Read the version of the tables that are there; 0 if there are none."""
    if connection.execute(_SQL["is_there"]).fetchone() is None:
        return 0
    row = connection.execute(_SQL["version"]).fetchone()
    return 0 if row is None else int(row[0])


def prepare(connection: sqlite3.Connection, name: str) -> None:
    """Make the tables, or bring them to this release; nobody else can write meanwhile.

    Raises:
        ConfigurationError: The file is of a later release.
    """
    if version_of(connection) != VERSION:
        connection.execute(_SQL["begin"])
        try:
            _migrate(connection, name)
            connection.execute(_SQL["commit"])
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute(_SQL["rollback"])
            raise


def _migrate(connection: sqlite3.Connection, name: str) -> None:
    version = version_of(connection)  # again: somebody may have been faster
    if version > VERSION:
        raise ConfigurationError(
            f"{name} has tables of version {version}, and this release of Perdure knows those up "
            f"to {VERSION}: install the release that made it, or a later one"
        )
    if version == 0:
        for statement in _statements_of(schema_script()):
            connection.execute(statement)
        connection.execute(_SQL["set_version"], (VERSION,))


def _statements_of(script: str) -> list[str]:
    """Cut a script where statements end: `executescript` would commit first."""
    found: list[str] = []
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found
