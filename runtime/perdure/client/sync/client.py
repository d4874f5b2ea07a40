"""The client for code without an event loop: scripts, Django views, notebooks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from perdure.client.client import Client
from perdure.client.sync.requests import SyncRequests
from perdure.client.sync.runner import Runner
from perdure.client.sync.seed_names import SyncSeedNames

__all__ = ["SyncClient"]


class SyncClient(SyncSeedNames, SyncRequests):
    """`Client`, whose every verb blocks; safe to share between threads.

    ::

        with SyncClient.connect(url) as client:
            handle = client.start(checkout, order)
            receipt = handle.result(timeout=30)
    """

    @classmethod
    @contextmanager
    def connect(
        cls, url: str, *, schema: str = "perdure", tenant: str = ""
    ) -> Generator[SyncClient]:
        """Connect to storage for the length of a `with` block."""
        runner = Runner()
        try:
            connection = Client.connect(url, schema=schema, tenant=tenant)
            client = runner.run(connection.__aenter__())
            try:
                yield cls(runner, client)
            finally:
                runner.run(connection.__aexit__(None, None, None))
        finally:
            runner.close()
