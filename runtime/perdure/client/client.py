"""The client: start orchestrations, send to them, steer them, read them.

Calls made at the same time travel together. A thousand concurrent `start` calls are a few calls of
storage, because what gathers while one is in flight goes with the next; nothing waits to see
whether more will come. Every call is safe to repeat, so a database that restarts costs time only.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Unpack

from perdure.client.bulk import BATCH, Bulk
from perdure.client.queries import Where
from perdure.client.requests import Requests
from perdure.client.seed_names import SeedNames
from perdure.client.starting import OnConflict
from perdure.providers.opening import open_provider

__all__ = ["Client", "OnConflict"]


class Client(SeedNames, Requests):
    """Talks to the orchestrations of one storage; one is enough for a process.

    Args:
        provider: Storage, already connected.
        tenant: Whom started instances belong to.
        patience: How long a call is repeated while storage is away.
        dice: Draws how long to wait for storage that is away.
        draw: Makes tokens of so many random bits; a simulation brings its own.
        poll: How long a hint that was lost can delay whoever waits for a result.
    """

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, url: str, *, schema: str = "perdure", tenant: str = ""
    ) -> AsyncGenerator[Client]:
        """Connect to the storage that a URL names, for the length of an `async with` block."""
        async with (
            open_provider(url, schema=schema, application_name="perdure client") as provider,
            cls(provider, tenant=tenant) as client,
        ):
            yield client

    def bulk(self, *, batch: int = BATCH, **where: Unpack[Where]) -> Bulk:
        """Choose instances to steer together; nothing happens yet.

        Raises:
            CallerError: a batch of less than one.
        """
        return Bulk(self, where, batch)
