"""Written by tools/sync_client.py from `perdure.client.requests`; do not edit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, overload

from perdure.client.handle import PATIENCE
from perdure.client.sync.base import SyncBase

__all__ = ["SyncRequests"]


class SyncRequests(SyncBase):
    """`perdure.client.requests`, for code without an event loop."""

    @overload
    def query[R](
        self,
        instance_id: str,
        name: str,
        /,
        *,
        result_type: type[R],
        timeout: timedelta | float = PATIENCE,
        **arguments: object,
    ) -> R: ...

    @overload
    def query(
        self,
        instance_id: str,
        name: str,
        /,
        *,
        timeout: timedelta | float = PATIENCE,
        **arguments: object,
    ) -> Any: ...

    def query(
        self,
        instance_id: str,
        name: str,
        /,
        *,
        result_type: Any = object,
        timeout: timedelta | float = PATIENCE,
        **arguments: object,
    ) -> Any:
        """Ask a handler of an instance for something it knows; the instance does not notice.

        It is answered by any replayer that has the instance's code, for one that has ended too.

        Raises:
            QueryError: There is no such handler, or it raised.
            InstanceNotFoundError: There is no such instance.
            ResultTimeoutError: Nobody answered within `timeout`: no replayer has its code.
            PayloadError: The answer does not fit `result_type`.
        """
        return self._runner.run(
            self._client.query(
                instance_id, name, result_type=result_type, timeout=timeout, **arguments
            )
        )

    @overload
    def update[R](
        self,
        instance_id: str,
        name: str,
        /,
        *,
        result_type: type[R],
        update_id: str | None = None,
        timeout: timedelta | float | None = PATIENCE,
        **arguments: object,
    ) -> R: ...

    @overload
    def update(
        self,
        instance_id: str,
        name: str,
        /,
        *,
        update_id: str | None = None,
        timeout: timedelta | float | None = PATIENCE,
        **arguments: object,
    ) -> Any: ...

    def update(
        self,
        instance_id: str,
        name: str,
        /,
        *,
        result_type: Any = object,
        update_id: str | None = None,
        timeout: timedelta | float | None = PATIENCE,
        **arguments: object,
    ) -> Any:
        """Ask a handler of an instance to do something, and wait for its answer.

        The request is in the history before this waits, and is answered once: asking again with
        the same `update_id` waits for the same answer.

        Raises:
            UpdateError: The handler, or its validator, refused or failed, or there is none.
            InstanceFinishedError: The instance has ended without an answer.
            InstanceNotFoundError: There is no such instance.
            InboxFullError: Too many messages wait for it; nothing was recorded.
            ResultTimeoutError: No answer came within `timeout`; it may come yet
                (`update_result`).
            PayloadError: The answer does not fit `result_type`.
        """
        return self._runner.run(
            self._client.update(
                instance_id,
                name,
                result_type=result_type,
                update_id=update_id,
                timeout=timeout,
                **arguments,
            )
        )

    def update_result(
        self,
        instance_id: str,
        update_id: str,
        *,
        result_type: Any = object,
        timeout: timedelta | float | None = PATIENCE,
        name: str = "",
    ) -> Any:
        """Wait for the answer to an update that was requested before; raises like `update`."""
        return self._runner.run(
            self._client.update_result(
                instance_id, update_id, result_type=result_type, timeout=timeout, name=name
            )
        )
