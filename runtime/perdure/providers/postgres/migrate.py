"""Tables migrate; functions are replaced.

`sql/migrations/NNNN_name.sql` are applied once each, in order. `sql/functions/name.sql` hold one
function each and are applied whenever their text has changed. All of it happens in one transaction
under one lock, so that any number of processes may migrate at once: one works, the others find it
done. A schema that a newer release has migrated is refused.

Processes work on meanwhile, of the last release too: a migration adds, and takes nothing away that
they use. A lock that is not had within seconds is given up, with the whole transaction, and tried
for again a little later: whoever waits for a lock on a table holds up all who come after.

`check` asks not what was applied, but what is there: it makes the schema anew beside the one in
use, in a transaction that is rolled back, and compares the two.

The files name no schema: the transaction's search path does, and every function is created
`set search_path from current`, which ties it to that schema whatever its caller's path is.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import asyncpg

from perdure.errors import ConfigurationError
from perdure.providers.postgres.calls import quote_identifier
from perdure.providers.postgres.catalogs import read_catalog
from perdure.providers.postgres.errors import translate
from perdure.providers.postgres.urls import check_schema, check_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable

    from perdure.providers.postgres.connections import Connection

__all__ = [
    "GROUP_ROLES",
    "MigrationReport",
    "SchemaDrift",
    "SchemaStatus",
    "check",
    "migrate",
    "status",
]

SERVER_VERSION_MIN = 14
GROUP_ROLES = ("perdure_executor", "perdure_replay", "perdure_client", "perdure_admin")

_LOCK_SECONDS = 3
_TRIES_MAX = 20
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What `migrate` did."""

    schema: str
    version: int
    """Number of the newest migration, now applied."""
    applied: tuple[str, ...]
    """Names of the migrations applied by this call."""
    replaced: tuple[str, ...]
    """Names of the functions whose text had changed."""
    roles: bool
    """Whether the group roles exist and hold their grants."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """What a schema has, against what this release wants."""

    schema: str
    version: int
    """Number of the newest migration applied; 0: none."""
    wanted: int
    pending: tuple[str, ...]
    """Migrations to apply."""
    changed: tuple[str, ...]
    """Functions whose text differs."""

    @property
    def is_current(self) -> bool:
        """True when there is nothing to do and nothing newer than we know."""
        return self.version == self.wanted and not self.pending and not self.changed


@dataclass(frozen=True, slots=True)
class SchemaDrift:
    """How what is in a schema differs from what this release makes; sorted."""

    schema: str
    missing: tuple[str, ...]
    """What this release makes and is not there."""
    unexpected: tuple[str, ...]
    """What is there and this release does not make: an index of your own, perhaps."""
    different: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """True when everything is there, as it should be; more may be there."""
        return not self.missing and not self.different


@dataclass(frozen=True, slots=True)
class _Script:
    name: str
    text: str

    @property
    def number(self) -> int:
        return int(self.name[:4])

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


async def migrate(url: str, *, schema: str = "perdure", roles: bool = True) -> MigrationReport:
    """Bring a schema, made if it is not there, to what this release wants.

    Args:
        url: Of a login that may create the schema, or owns it.
        schema: Any name; quotes and capitals are fine.
        roles: Create the group roles and grant to them, where the login may. Without the right
            to create roles nothing is granted and `MigrationReport.roles` is false.

    Raises:
        ConfigurationError: The schema is newer than this release, or the server is too old.
        ProviderError: Postgres failed; nothing has changed.
    """
    check_schema(schema)
    connection = await _connect(url)
    try:
        for _ in range(_TRIES_MAX - 1):
            try:
                async with connection.transaction():
                    return await _migrate(connection, schema, roles=roles)
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                await asyncio.sleep(_PAUSE_SECONDS * (0.5 + random.random()))  # noqa: S311  no secret
        async with connection.transaction():
            return await _migrate(connection, schema, roles=roles)
    except (asyncpg.PostgresError, OSError) as error:
        raise translate("migrate", error) from error
    finally:
        await connection.close()


async def check(url: str, *, schema: str = "perdure") -> SchemaDrift:
    """Compare what is in a schema with what this release makes; changes nothing.

    Needs a login that may create a schema in the database.
    """
    query = _script("catalog.sql").text
    check_schema(schema)
    connection = await _connect(url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await _lock(connection, schema)
            await _enter(connection, schema)
            found = await read_catalog(connection, query, schema)
            fresh = f"perdure_check_{secrets.token_hex(8)}"
            await connection.execute(f"create schema {quote_identifier(fresh)}")
            await _enter(connection, fresh)
            await _install(connection, 0, {})
            expected = await read_catalog(connection, query, fresh)
        finally:
            await transaction.rollback()
    except (asyncpg.PostgresError, OSError) as error:
        raise translate("check", error) from error
    finally:
        await connection.close()
    return SchemaDrift(
        schema=schema,
        missing=tuple(sorted(expected.keys() - found.keys())),
        unexpected=tuple(sorted(found.keys() - expected.keys())),
        different=tuple(
            sorted(name for name, text in expected.items() if found.get(name, text) != text)
        ),
    )


async def status(url: str, *, schema: str = "perdure") -> SchemaStatus:
    """Compare a schema with what this release wants; changes nothing."""
    check_schema(schema)
    connection = await _connect(url)
    try:
        async with connection.transaction(readonly=True):
            await _enter(connection, schema)
            version, digests = await _applied(connection, schema)
    except (asyncpg.PostgresError, OSError) as error:
        raise translate("status", error) from error
    finally:
        await connection.close()
    migrations = _scripts("migrations")
    return SchemaStatus(
        schema=schema,
        version=version,
        wanted=migrations[-1].number,
        pending=tuple(script.name for script in migrations if script.number > version),
        changed=tuple(
            script.name
            for script in _scripts("functions")
            if digests.get(script.name) != script.digest
        ),
    )


async def _connect(url: str) -> Connection:
    try:
        check_url(url)
        connection: Connection = await asyncpg.connect(url, statement_cache_size=0)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise translate("connect", error) from error
    if connection.get_server_version().major < SERVER_VERSION_MIN:
        found = connection.get_server_version().major
        await connection.close()
        raise ConfigurationError(f"Postgres {found} is too old: use {SERVER_VERSION_MIN} or newer.")
    return connection


async def _migrate(connection: Connection, schema: str, *, roles: bool) -> MigrationReport:
    await _lock(connection, schema)
    await connection.execute(f"set local lock_timeout = '{_LOCK_SECONDS}s'")
    exists = await connection.fetchval("select 1 from pg_namespace where nspname = $1", schema)
    if not exists:
        await connection.execute(f"create schema {quote_identifier(schema)}")
    await _enter(connection, schema)
    version, digests = await _applied(connection, schema)
    migrations = _scripts("migrations")
    if version > migrations[-1].number:
        raise ConfigurationError(
            f"The schema {schema!r} is at migration {version}, this release knows "
            f"{migrations[-1].number}: install the release that migrated it, or a newer one."
        )
    pending, changed = await _install(connection, version, digests)
    granted = await _grant(connection, digests, anew=bool(pending or changed)) if roles else False
    return MigrationReport(
        schema=schema,
        version=migrations[-1].number,
        applied=tuple(script.name for script in pending),
        replaced=tuple(script.name for script in changed),
        roles=granted,
    )


async def _lock(connection: Connection, schema: str) -> None:
    """Wait until nobody else migrates this schema; let nobody until the transaction ends."""
    key = int.from_bytes(hashlib.sha256(f"perdure {schema}".encode()).digest()[:8], signed=True)
    await connection.execute("select pg_advisory_xact_lock($1)", key)


async def _install(
    connection: Connection, version: int, digests: dict[str, str]
) -> tuple[Sequence[_Script], Sequence[_Script]]:
    """Apply what is newer than `version` and differs from `digests`, where the path leads."""
    migrations = _scripts("migrations")
    if version == 0:
        await connection.execute(_script("bookkeeping.sql").text)
    pending = [script for script in migrations if script.number > version]
    for script in pending:
        await connection.execute(script.text)
        await connection.execute(
            "insert into migration (number, name) values ($1, $2)", script.number, script.name
        )
    changed = [s for s in _scripts("functions") if digests.get(s.name) != s.digest]
    # A function may call one whose name comes later.
    await connection.execute("set local check_function_bodies = off")
    for script in changed:
        await connection.execute(script.text)
        await _remember(connection, script)
    return pending, changed


async def _grant(connection: Connection, digests: dict[str, str], *, anew: bool) -> bool:
    """Apply the grants if something has changed; true if all group roles have theirs."""
    script = _script("grants.sql")
    if anew or digests.get(script.name) != script.digest:
        await connection.execute(script.text)
    complete = await connection.fetchval(
        "select count(*) = 4 from pg_roles where rolname = any($1)", list(GROUP_ROLES)
    )
    if complete:
        await _remember(connection, script)
    return bool(complete)


async def _remember(connection: Connection, script: _Script) -> None:
    await connection.execute(
        "insert into function_text (name, digest) values ($1, $2) "
        "on conflict (name) do update set digest = excluded.digest, applied = now()",
        script.name,
        script.digest,
    )


async def _enter(connection: Connection, schema: str) -> None:
    """Make the schema what unqualified names mean, for the rest of the transaction."""
    await connection.execute(
        "select set_config('search_path', quote_ident($1) || ', pg_temp', true)", schema
    )


async def _applied(connection: Connection, schema: str) -> tuple[int, dict[str, str]]:
    known = await connection.fetchval(
        "select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = $1 and c.relname = 'migration'",
        schema,
    )
    if not known:
        return 0, {}
    version = await connection.fetchval("select coalesce(max(number), 0) from migration")
    rows = await connection.fetch("select name, digest from function_text")
    return int(version), {row["name"]: row["digest"] for row in rows}


def _sql() -> Traversable:
    return files("perdure.providers.postgres") / "sql"


def _script(name: str) -> _Script:
    return _Script(name, (_sql() / name).read_text(encoding="utf-8"))


def _scripts(folder: str) -> Sequence[_Script]:
    found = [
        _Script(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"))
        for entry in (_sql() / folder).iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found, key=lambda script: script.name)
