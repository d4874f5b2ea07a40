"""Durable execution for Python: orchestrations that outlive the processes that run them."""

from perdure.client import Client, InstanceHandle, SyncClient, SyncInstanceHandle
from perdure.errors import (
    ActivityError,
    ApplicationError,
    OrchestrationCancelledError,
    OrchestrationError,
    OrchestrationTerminatedError,
    OrchestrationTimedOutError,
    PerdureError,
)
from perdure.model.limits import Limits
from perdure.model.policy import Retry
from perdure.replay.classes import event, query, update
from perdure.replay.context import OrchestrationContext
from perdure.replay.current import current
from perdure.replay.definitions import (
    Activity,
    ActivityContext,
    OrchestrationDef,
    activity,
    orchestration,
)
from perdure.replay.futures import OperationHandle
from perdure.replay.registry import Registry
from perdure.replay.saga import Saga

__all__ = [
    "Activity",
    "ActivityContext",
    "ActivityError",
    "ApplicationError",
    "Client",
    "InstanceHandle",
    "Limits",
    "OperationHandle",
    "OrchestrationCancelledError",
    "OrchestrationContext",
    "OrchestrationDef",
    "OrchestrationError",
    "OrchestrationTerminatedError",
    "OrchestrationTimedOutError",
    "PerdureError",
    "Registry",
    "Retry",
    "Saga",
    "SyncClient",
    "SyncInstanceHandle",
    "activity",
    "current",
    "event",
    "orchestration",
    "query",
    "update",
]
