"""What went wrong in Postgres, sorted by whether asking again may help.

The rule: what another moment can heal is retryable (the server restarts, is full, gave up on a
deadlock, became a replica; the network broke; the schema is about to be migrated). What says that
the call or the set-up is wrong is not (permissions, malformed data, a violated constraint).
"""

from __future__ import annotations

import asyncpg

from perdure.errors import ConfigurationError, PayloadError, PerdureError, ProviderError
from perdure.providers.postgres.urls import EXPECTED

__all__ = ["ends_connection", "is_transient_conflict", "translate"]

_RETRYABLE_CLASSES = ("08", "40", "53", "57", "58")
"""Connection, transaction rollback, resources, operator intervention, system error."""

_RETRYABLE_STATES = frozenset(
    {
        "25006",  # read only: the primary moved elsewhere
        "55P03",  # a lock was not to be had in time
    }
)

_MISSING_SCHEMA_STATES = frozenset({"3F000", "42704", "42883", "42P01"})

_CONFLICT_STATES = frozenset({"40001", "40P01"})

_OUTDATED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
"""What the driver remembered was changed by a migration; it has forgotten it by now."""


def translate(operation: str, error: BaseException) -> PerdureError:
    """Say in Perdure's words what `error` means for the verb `operation`."""
    match error:
        case PerdureError():
            said: PerdureError = error
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            said = ProviderError(operation, f"the schema just changed: {error}", retryable=True)
        case asyncpg.PostgresError():
            said = _translate_state(operation, error)
        case TimeoutError():
            said = ProviderError(operation, "Postgres did not answer in time", retryable=True)
        case UnicodeEncodeError():
            said = PayloadError(f"{operation}: a lone surrogate cannot be stored: {error}")
        case asyncpg.DataError():
            said = ProviderError(operation, f"the driver refuses: {error}", retryable=False)
        case asyncpg.ClientConfigurationError():
            # What it says is of the form of the URL, never of what stands in it.
            said = ConfigurationError(f"the database URL cannot be: {error}; expected {EXPECTED}")
        case asyncpg.InternalClientError():
            # About the state of one connection, which is not used again.
            said = ProviderError(operation, f"the driver lost track: {error}", retryable=True)
        case OSError() | asyncpg.InterfaceError():
            said = ProviderError(operation, f"no connection to Postgres: {error}", retryable=True)
        case _:
            said = ProviderError(operation, f"{type(error).__name__}: {error}", retryable=False)
    return said


def is_transient_conflict(error: BaseException) -> bool:
    """Say whether the same call is to be made again at once: two callers met."""
    if isinstance(error, _OUTDATED):
        return True
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _CONFLICT_STATES


def ends_connection(error: asyncpg.PostgresError) -> bool:
    """Say whether the server hangs up after this error, though the driver may not know it yet."""
    return getattr(error, "severity_en", None) in {"FATAL", "PANIC"}


def _translate_state(operation: str, error: asyncpg.PostgresError) -> PerdureError:
    state = error.sqlstate or ""
    if state in _MISSING_SCHEMA_STATES:
        return ProviderError(
            operation,
            f"the schema is missing or older than this release ({error}); run: perdure db migrate",
            retryable=True,
        )
    if state in {"22021", "22P05"}:
        return PayloadError(f"{operation}: text that Postgres cannot store: {error}")
    retryable = state[:2] in _RETRYABLE_CLASSES or state in _RETRYABLE_STATES
    return ProviderError(operation, f"{error} (SQLSTATE {state})", retryable=retryable)
