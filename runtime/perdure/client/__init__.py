"""Starting, signalling, steering and reading orchestrations, from anywhere that reaches storage."""

from perdure.client.client import Client
from perdure.client.handle import InstanceHandle

__all__ = ["Client", "InstanceHandle"]
