"""What the body of a running activity may ask about itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

from perdure.model.ids import InstanceId, OperationId
from perdure.providers.work import LeasedActivity
from perdure.replay.definitions import ActivityContext

__all__ = ["RunningContext"]

_LOGGER = logging.getLogger("perdure.activity")


class RunningContext(ActivityContext):
    """The context of one attempt; reading it is safe from any thread."""

    __slots__ = ("_leased", "_logger", "_reason", "_waiting")

    def __init__(self, leased: LeasedActivity) -> None:
        self._leased = leased
        self._reason: str | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def instance(self) -> InstanceId:
        """The instance that wants the result."""
        return self._leased.instance

    @property
    def execution(self) -> int:
        """Its execution."""
        return self._leased.execution

    @property
    def operation(self) -> OperationId:
        """The call within the execution."""
        return self._leased.operation

    @property
    def attempt(self) -> int:
        """1 on the first try."""
        return self._leased.attempt

    @property
    def tag(self) -> str:
        """The tag it was sent by."""
        return self._leased.tag

    @property
    def is_cancelled(self) -> bool:
        """True once the result is not wanted any more, or the executor shuts down."""
        return self._reason is not None

    @property
    def cancel_reason(self) -> str | None:
        """Why, once `is_cancelled`."""
        return self._reason

    async def wait_cancelled(self) -> str:
        """Wait until cancelled; return the reason."""
        if self._reason is None:
            event = asyncio.Event()
            if self._waiting is None:
                self._waiting = []
            self._waiting.append((asyncio.get_running_loop(), event))
            if self._reason is None:  # a sync body's own loop may run in another thread
                await event.wait()
        return self._reason or ""

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that says with every line which attempt it is about."""
        if self._logger is None:
            leased = self._leased
            self._logger = _Adapter(
                _LOGGER,
                {
                    "instance_id": leased.instance,
                    "execution_id": leased.execution,
                    "activity_name": leased.name,
                    "activity_id": leased.operation,
                    "activity_tag": leased.tag,
                    "attempt": leased.attempt,
                },
            )
        return self._logger

    def cancel(self, reason: str) -> None:
        """Tell the body to stop; the first reason stays."""
        if self._reason is not None:
            return
        self._reason = reason
        for loop, event in self._waiting or ():
            loop.call_soon_threadsafe(event.set)


class _Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds the fields of the attempt to those given with a line."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Merge the fields."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
