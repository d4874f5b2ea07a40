"""Starting, signalling, steering and reading orchestrations, from anywhere that reaches storage."""

from perdure.client.bulk import Bulk, BulkPreview, BulkReport
from perdure.client.client import Client
from perdure.client.handle import InstanceHandle
from perdure.client.sync import SyncClient, SyncInstanceHandle

__all__ = [
    "Bulk",
    "BulkPreview",
    "BulkReport",
    "Client",
    "InstanceHandle",
    "SyncClient",
    "SyncInstanceHandle",
]
