"""Which storage a URL names.

::

    postgresql://user:password@host:port/database    Postgres
    postgresql://…/database?pooler=transaction       Postgres behind a pooler, such as pgbouncer,
                                                     that lends connections by the transaction
    sqlite:///perdure.db                             a file, relative to the current folder
    sqlite:////var/lib/perdure/perdure.db            a file, by its whole path
    sqlite://                                        memory, new and empty; gone with its provider

A driver is imported only when its storage is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from perdure.errors import ConfigurationError

if TYPE_CHECKING:
    from perdure.providers.protocol import Provider

__all__ = ["is_sqlite", "open_provider", "sqlite_path"]

_SQLITE = "sqlite:"
_POOLER = "pooler=transaction"
_MEMORY = frozenset({"", "/", "/:memory:", ":memory:"})


def is_sqlite(url: str) -> bool:
    """Say whether a URL names SQLite."""
    return url.strip().lower().startswith(_SQLITE)


def sqlite_path(url: str) -> str | None:
    """Find the file that a URL of SQLite names; None means memory.

    Raises:
        ConfigurationError: It has a host or options, which a file has not.
    """
    rest = url.strip()[len(_SQLITE) :]
    if not rest.startswith("//") or "?" in rest or "#" in rest:
        raise ConfigurationError(_expected(url))
    path = rest[2:]
    if path in _MEMORY:
        return None
    if not path.startswith("/"):
        raise ConfigurationError(_expected(url))
    return unquote(path[1:])


def _expected(url: str) -> str:
    return (
        f"the database URL cannot be: {url}; expected sqlite:///FILE (four slashes before a whole "
        "path) or sqlite:// for memory, without options"
    )


def open_provider(
    url: str, *, schema: str = "perdure", application_name: str = "perdure"
) -> Provider:
    """Make the provider of a URL; enter it to connect.

    `schema` and `application_name` matter to Postgres alone.

    Raises:
        ConfigurationError: The URL can name no storage.
    """
    if not url:
        raise ConfigurationError(
            "no database is named: expected postgresql://user:password@host:port/database, "
            "sqlite:///FILE, or sqlite:// for memory"
        )
    if is_sqlite(url):
        from perdure.providers.sqlite import MemoryStore, SqliteProvider  # noqa: PLC0415  as said above

        path = sqlite_path(url)
        return SqliteProvider(MemoryStore() if path is None else path)
    from perdure.providers.postgres import PostgresProvider  # noqa: PLC0415  as said above

    plain, is_pooled = _without_pooler(url)
    return PostgresProvider(
        plain,
        schema=schema,
        application_name=application_name,
        listen=not is_pooled,
        prepare=not is_pooled,
    )


def _without_pooler(url: str) -> tuple[str, bool]:
    """Take our own option out of a URL; the others are the driver's."""
    head, mark, query = url.partition("?")
    options = query.split("&") if mark else []
    poolers = [each for each in options if each.startswith("pooler=")]
    if any(each != _POOLER for each in poolers):
        raise ConfigurationError(
            f"the database URL cannot be: {poolers[-1]}; expected {_POOLER}, behind a pooler that "
            "lends connections by the transaction; leave it out for any other"
        )
    rest = [each for each in options if not each.startswith("pooler=")]
    return (f"{head}?{'&'.join(rest)}" if rest else head), bool(poolers)
