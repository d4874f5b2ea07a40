"""The provider on Postgres 14 or newer.

Every verb is one call of one SQL function (`sql/functions`), over tables that
`sql/migrations` made. What a verb promises is said in the header of its function.
"""

from perdure.providers.postgres.migrate import (
    MigrationReport,
    SchemaDrift,
    SchemaStatus,
    check,
    migrate,
    status,
)
from perdure.providers.postgres.provider import PostgresProvider

__all__ = [
    "MigrationReport",
    "PostgresProvider",
    "SchemaDrift",
    "SchemaStatus",
    "check",
    "migrate",
    "status",
]
