"""One instance in the hands of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.client.archives import write_archive
from perdure.client.handle import outcome_error
from perdure.model import events as ev
from perdure.model.codec import decode_object
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.testing.golden import compare_history

if TYPE_CHECKING:
    from perdure.client import InstanceHandle
    from perdure.replay.definitions import Activity
    from perdure.testing.environment import Environment

__all__ = ["RunUnderTest"]


class RunUnderTest[R]:
    """Made by `Environment.start`; every call runs the system until it is done."""

    def __init__(self, environment: Environment, handle: InstanceHandle[R]) -> None:
        self._environment = environment
        self.handle = handle
        self.instance_id = handle.instance_id

    def __repr__(self) -> str:
        return f"RunUnderTest({self.instance_id!r})"

    async def result(self, timeout: timedelta | None = None) -> R:  # noqa: ASYNC109  users look for it
        """Let time pass until the run has ended; return its result.

        Raises:
            OrchestrationError: It ended as Failed; subclasses for the other outcomes.
            StalledError: It will not end by itself, or not within `timeout`; the message says
                what it waits for and where.
            RunParkedError: It is parked: the message has the reason.
        """
        info = await self.ended(timeout)
        if info.status is not InstanceStatus.COMPLETED:
            raise outcome_error(info)
        return await self._environment.do(self.handle.result())

    async def ended(self, timeout: timedelta | None = None) -> InstanceInfo:  # noqa: ASYNC109  as above
        """Let time pass until the run has ended, however it does; raises like `result`."""
        return await self._environment.do(self._environment.until_ended(self.handle, timeout))

    async def status(self) -> InstanceInfo:
        """Read it as it is once what can happen now has happened."""
        await self._environment.settle()
        return await self._environment.do(self.handle.status())

    async def raise_event(self, name: str, data: object = None) -> None:
        """Raise an event, and let happen what follows at once."""
        await self._environment.do(self.handle.raise_event(name, data))
        await self._environment.settle()

    async def enqueue_event(self, queue: str, data: object = None) -> None:
        """Put an item into a queue, and let happen what follows at once."""
        await self._environment.do(self.handle.enqueue_event(queue, data))
        await self._environment.settle()

    async def cancel(self, reason: str = "") -> None:
        """Ask it to cancel, and let happen what follows at once."""
        await self._environment.do(self.handle.cancel(reason))
        await self._environment.settle()

    async def query(self, name: str, /, **arguments: Any) -> Any:
        """Ask one of its handlers; see `Client.query`."""
        return await self._environment.do(self.handle.query(name, **arguments))

    async def update(self, name: str, /, **arguments: Any) -> Any:
        """Ask one of its handlers to do something; see `Client.update`."""
        return await self._environment.do(self.handle.update(name, **arguments))

    async def history(self) -> Sequence[ev.Event]:
        """Read its events so far, after what can happen now has happened."""
        await self._environment.settle()
        return await self._environment.do(self.handle.history())

    async def scheduled(self, activity: Activity[..., Any]) -> list[Mapping[str, object]]:
        """Return the arguments of each call of an activity in its history, by parameter name."""
        return [
            decode_object(event.input)
            for event in await self.history()
            if isinstance(event, ev.ActivityScheduled) and event.name == activity.name
        ]

    async def assert_history(self, golden: Path | str) -> None:
        """Compare its events with those in a file, leaving out times and made-up ids.

        `pytest --update-golden` writes the file instead.

        Raises:
            AssertionError: they differ; the message has the lines that do.
        """
        compare_history(Path(golden), await self.history(), self.instance_id)

    async def save(self, path: Path | str) -> None:
        """Write its whole history as lines of JSON, for `replay_dir`."""
        client = await self._environment.client()
        archive = await self._environment.do(client.archive(self.instance_id))
        Path(path).write_text("\n".join(write_archive(archive)) + "\n")  # noqa: ASYNC240  nobody else waits
