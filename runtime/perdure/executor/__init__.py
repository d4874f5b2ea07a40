"""Processes that run orchestrations and activities, from their settings to their end."""

from perdure.executor.local import LocalRuntime
from perdure.executor.process import run_executor, run_replayer
from perdure.executor.settings import ExecutorSettings, ReplayerSettings

__all__ = [
    "ExecutorSettings",
    "LocalRuntime",
    "ReplayerSettings",
    "run_executor",
    "run_replayer",
]
