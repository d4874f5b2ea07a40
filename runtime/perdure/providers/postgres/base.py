"""What all verbs share: connections, hints, and the test's clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from perdure.providers.postgres.calls import Calls
from perdure.providers.postgres.connections import Connections, Target
from perdure.providers.postgres.listen import HintBoard, News
from perdure.providers.postgres.urls import check_schema, check_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from datetime import datetime

    from perdure.providers.work import Hint

__all__ = ["Base"]


class Base:
    """The part of `PostgresProvider`, whose arguments these are, that its verbs stand on."""

    def __init__(
        self,
        url: str,
        *,
        schema: str = "perdure",
        connections: int = 4,
        application_name: str = "perdure",
        call_seconds: float = 30.0,
        listen: bool = True,
        prepare: bool = True,
        inbox_limit: int = 10_000,
        keep_early: timedelta = timedelta(days=7),
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        check_url(url)
        check_schema(schema)
        target = Target(
            url, application_name=application_name, call_seconds=call_seconds, prepare=prepare
        )
        self._calls = Calls(schema)
        self._connections = Connections(target, connections)
        self._board = HintBoard(target, self._calls, schema, listen=listen)
        self._inbox_limit = inbox_limit
        self._keep_early = keep_early
        self._clock = clock
        self._calls_under_way = 0

    async def __aenter__(self) -> Self:
        """Connect; raises `ProviderError` when that fails or the schema is missing."""
        try:
            await self.ping()
        except BaseException:
            await self._connections.close()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect; hints end."""
        await self._board.close()
        await self._connections.close()

    def _now(self) -> datetime | None:
        return None if self._clock is None else self._clock()

    async def _call(self, verb: str, query: str, *args: object) -> Sequence[Any]:
        self._board.check()
        self._calls_under_way += 1
        try:
            return await self._connections.call(verb, query, *args)
        finally:
            self._calls_under_way -= 1

    async def _call_telling(
        self, verb: str, queries: tuple[str, str], news: News, *args: object
    ) -> tuple[Sequence[Any], frozenset[str]]:
        """Call, and tell the news with the very commit where that holds nobody up.

        `queries` are the plain one and the one that tells. Returns the rows, and which lines were
        told: the others are to be posted when the call has returned.
        """
        told = None if self._calls_under_way else self._board.within(news)
        if told is None:
            return await self._call(verb, queries[0], *args), frozenset()
        return await self._call(verb, queries[1], *args, *told), frozenset(news.lines)

    async def ping(self) -> None:
        """Raise `ProviderError` if storage cannot be reached or lacks its schema."""
        await self._call("ping", self._calls.ping)

    def hints(self, kinds: Collection[type[Hint]] | None = None) -> AsyncIterator[Hint]:
        """Yield hints of these kinds (None: all), and `ResyncHint`, until closed."""
        return self._board.hints(kinds)
