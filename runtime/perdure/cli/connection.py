"""Which database a command works on, and the connection to it."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from perdure.client.client import Client
from perdure.client.instance_ids import stored_instance_id
from perdure.errors import ConfigurationError, InstanceNotFoundError
from perdure.providers.opening import open_provider
from perdure.providers.protocol import ClientProvider, Provider
from perdure.providers.reading import InstanceInfo

__all__ = [
    "DatabaseUrlOption",
    "SchemaOption",
    "connect",
    "connect_client",
    "database_url",
    "read_instance",
]

_PANEL = "Database"
_PATIENCE = timedelta(seconds=5)
"""A person would rather be told soon that the database is away."""

DatabaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="PERDURE_DATABASE_URL",
        metavar="URL",
        help="postgresql://user:password@host:port/database, or sqlite:///FILE. "
        "PERDURE_DATABASE_URL_FILE may name a file that holds it.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
SchemaOption = Annotated[
    str,
    typer.Option(
        "--schema",
        envvar="PERDURE_SCHEMA",
        help="The Postgres schema of Perdure's tables.",
        rich_help_panel=_PANEL,
    ),
]


def database_url(given: str | None) -> str:
    """Choose the database: as given, else the content of the file that the environment names.

    Raises:
        ConfigurationError: Neither is there, or the file cannot be read.
    """
    if given:
        return given
    path = os.environ.get("PERDURE_DATABASE_URL_FILE")
    if not path:
        raise ConfigurationError(
            "No database is named: give --database-url or set PERDURE_DATABASE_URL "
            "(`perdure run` needs none)"
        )
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"PERDURE_DATABASE_URL_FILE names {path}, which cannot be read: {error}"
        ) from error


@asynccontextmanager
async def connect(given: str | None, schema: str) -> AsyncGenerator[Provider]:
    """Connect for one command."""
    async with open_provider(
        database_url(given), schema=schema, application_name="perdure"
    ) as provider:
        yield provider


@asynccontextmanager
async def connect_client(given: str | None, schema: str) -> AsyncGenerator[Client]:
    """Connect for one command that needs a client's verbs."""
    async with connect(given, schema) as provider, Client(provider, patience=_PATIENCE) as client:
        yield client


async def read_instance(provider: ClientProvider, instance: str) -> InstanceInfo:
    """Read one instance.

    Raises:
        InstanceNotFoundError: There is none of that id; the message tells how to look for it.
    """
    (info,) = await provider.read_instances([stored_instance_id(instance)])
    if info is None:
        raise InstanceNotFoundError(
            f"No instance has the id {instance!r}. See which there are: perdure list"
        )
    return info
