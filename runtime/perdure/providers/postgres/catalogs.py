"""What stands in a schema, as Postgres says it: to compare one with another.

Names that Postgres qualifies with the schema are written without it, so that two schemas alike
compare equal. The order of a table's columns is not compared: a column that was added later comes
last. That of a composite type is, because rows are sent by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.providers.postgres.calls import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perdure.providers.postgres.connections import Connection

__all__ = ["read_catalog"]


async def read_catalog(connection: Connection, query: str, schema: str) -> Mapping[str, str]:
    """Read everything in a schema, by name; the search path must lead to that schema.

    `query` is `sql/catalog.sql`.
    """
    quoted: str = await connection.fetchval("select quote_ident($1)", schema)
    found: dict[str, str] = {}
    for name, definition in await connection.fetch(query, schema):
        found[_plain(name, schema, quoted)] = _plain(definition, schema, quoted)
    return found


def _plain(text: str, schema: str, quoted: str) -> str:
    literal = "'" + schema.replace("'", "''") + "'"
    for qualifier in {quoted, quote_identifier(schema)}:
        text = text.replace(f"{qualifier}.", "")
    return text.replace(f"SET search_path TO {literal},", "SET search_path TO")
