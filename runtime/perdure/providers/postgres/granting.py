"""Which roles may take activities of which tags."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from perdure.errors import ConfigurationError
from perdure.providers.postgres.errors import translate

__all__ = ["allow_tags"]


async def allow_tags(url: str, role: str, tags: Sequence[str], *, schema: str = "perdure") -> None:
    """Let a role, and its members, take activities of exactly these tags; of none with none.

    Args:
        url: Of a login that is an admin of Perdure.
        role: A role of Postgres.
        tags: The empty one is that of activities which name none.
        schema: Of Perdure's tables.

    Raises:
        ConfigurationError: There is no such role.
        ProviderError: Postgres failed, or the login may not; nothing has changed.
    """
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise translate("connect", error) from error
    try:
        if not await connection.fetchval("select to_regrole(quote_ident($1))", role):
            raise ConfigurationError(f"There is no role {role!r} in this database server")
        async with connection.transaction():
            await connection.execute(
                "select set_config('search_path', quote_ident($1) || ', pg_temp', true)", schema
            )
            await connection.execute("select allow_tags_v1($1, $2)", role, list(tags))
    except (asyncpg.PostgresError, OSError) as error:
        raise translate("allow tags", error) from error
    finally:
        await connection.close()
