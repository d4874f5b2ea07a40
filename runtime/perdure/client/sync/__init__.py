"""The blocking client; most of it is written by tools/sync_client.py."""

from perdure.client.sync.client import SyncClient
from perdure.client.sync.handle import SyncInstanceHandle

__all__ = ["SyncClient", "SyncInstanceHandle"]
