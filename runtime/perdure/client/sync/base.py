"""What all parts of the blocking client share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.client.client import Client
    from perdure.client.sync.runner import Runner

__all__ = ["SyncBase"]


class SyncBase:
    """The asynchronous client, and what runs it."""

    def __init__(self, runner: Runner, client: Client) -> None:
        self._runner = runner
        self._client = client
