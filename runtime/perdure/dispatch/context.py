"""What the body of a running activity may ask about itself, and ask for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, MutableMapping
from datetime import timedelta
from typing import Any

from perdure.errors import ConfigurationError
from perdure.model.codec import decode, encode
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.providers.tokens import completion_token
from perdure.providers.work import ActivityLease, LeasedActivity
from perdure.replay.activity_context import ActivityClient, ActivityContext

__all__ = ["RunningContext"]

_LOGGER = logging.getLogger("perdure.activity")
_GUARD = threading.Lock()
"""Guards the details of heartbeats, for a moment: one for all attempts, so that none pays."""


class RunningContext(ActivityContext):
    """The context of one attempt.

    Args:
        leased: What runs.
        lease: Its lease.
        loop: The dispatcher's.
        client: For the body; None where the process has none.
        on_progress: Called in the loop's thread when there are details to be kept.
    """

    __slots__ = (
        "_client",
        "_connection",
        "_details",
        "_is_announced",
        "_lease",
        "_leased",
        "_logger",
        "_loop",
        "_on_progress",
        "_reason",
        "_waiting",
        "beaten_at",
        "deferred",
    )

    def __init__(
        self,
        leased: LeasedActivity,
        lease: ActivityLease,
        *,
        loop: asyncio.AbstractEventLoop,
        client: ActivityClient | None,
        on_progress: Callable[[], None],
    ) -> None:
        self._leased = leased
        self._lease = lease
        self._loop = loop
        self._client = client
        self._on_progress = on_progress
        self._connection: object | None = None
        self._reason: str | None = None
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self._details: JsonText | None = None
        self._is_announced = False
        self.beaten_at = loop.time()
        """When the body last said that it is alive."""
        self.deferred: timedelta | None = None
        """How long somebody else has to finish it; None: the body does."""

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
    def session(self) -> str | None:
        """The session it belongs to."""
        return None if self._leased.options is None else self._leased.options.session

    @property
    def priority(self) -> int:
        """The priority it was scheduled with."""
        return 0 if self._leased.options is None else self._leased.options.priority

    # ------------------------------------------------------------------ being stopped

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

    def cancel(self, reason: str) -> None:
        """Tell the body to stop; the first reason stays."""
        if self._reason is not None:
            return
        self._reason = reason
        for loop, event in self._waiting or ():
            loop.call_soon_threadsafe(event.set)

    # ------------------------------------------------------------------ telling of progress

    def heartbeat(self, details: object = None) -> None:
        """Say that the attempt is alive, and how far it is."""
        self.beaten_at = self._loop.time()
        if details is None:
            return
        text = encode(details, what="the details of a heartbeat")
        with _GUARD:
            self._details = text
            is_news, self._is_announced = not self._is_announced, True
        if is_news and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._on_progress)

    def heartbeat_details[T](self, as_type: type[T]) -> T | None:
        """Return what an earlier attempt told last."""
        if self._leased.details is None:
            return None
        return decode(self._leased.details, as_type, what="the details of an earlier heartbeat")

    def take_details(self) -> JsonText | None:
        """Hand over details that nobody has kept yet."""
        with _GUARD:
            self._is_announced = False
            found, self._details = self._details, None
        return found

    def put_back(self, details: JsonText) -> None:
        """Take details back that could not be kept, unless there are newer ones."""
        with _GUARD:
            if self._details is None:
                self._details = details

    # ------------------------------------------------------------------ finishing elsewhere

    def defer(self, *, within: timedelta | float) -> str:
        """Let somebody else finish this activity later; return the token to do so with."""
        try:
            found = within if isinstance(within, timedelta) else timedelta(seconds=within)
        except (OverflowError, ValueError):
            found = timedelta(0)
        if found <= timedelta(0):
            msg = f"ActivityContext.defer: within is {within}; it must be a time of more than 0"
            raise ValueError(msg)
        self.deferred = found
        return completion_token(self._lease)

    @property
    def is_deferred(self) -> bool:
        """True once `defer` was called."""
        return self.deferred is not None

    # ------------------------------------------------------------------ reaching storage

    @property
    def client(self) -> ActivityClient:
        """A client on the executor's own storage."""
        if self._client is None:
            raise ConfigurationError(
                "ActivityContext.client: this ActivityDispatcher was made without a client; run "
                "activities by run_executor or LocalRuntime, or pass client="
            )
        return self._client

    @property
    def connection(self) -> Any:
        """The driver's connection of a transactional activity."""
        if self._connection is None:
            raise ConfigurationError(
                f"ActivityContext.connection: activity {self._leased.name!r} runs in no "
                "transaction; declare it with @activity(transactional=True)"
            )
        return self._connection

    def enter(self, connection: object | None) -> None:
        """Give the body a transaction's connection, or take it away."""
        self._connection = connection

    def call[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the executor's event loop, from a sync body, and wait for it."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        coroutine.close()
        msg = "ActivityContext.call is for sync bodies in their thread; here, await the coroutine"
        raise RuntimeError(msg)

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


class _Adapter(logging.LoggerAdapter[logging.Logger]):
    """Adds the fields of the attempt to those given with a line."""

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Merge the fields."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
