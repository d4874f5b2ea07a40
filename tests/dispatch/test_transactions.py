"""Activities that write in one transaction with their result, on real storage."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast, override

import asyncpg
import pytest

from perdure.errors import ActivityError, ProviderError
from perdure.executor import LocalRuntime
from perdure.model.policy import Retry
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.replay.context import OrchestrationContext
from perdure.replay.definitions import ActivityContext, activity, orchestration
from perdure.replay.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from perdure.providers.postgres.transactions import PostgresTransaction
    from perdure.providers.work import ActivityLease

RAN: Counter[str] = Counter()
AT_ONCE = Retry(max_attempts=3, initial=timedelta(0))


@activity(transactional=True, retry=AT_ONCE)
async def pays(ctx: ActivityContext, amount: int) -> int:
    RAN["pays"] += 1
    await ctx.connection.execute("insert into payment values ($1)", amount)
    if ctx.attempt == 1 and amount < 0:
        raise ValueError("fails after it has written")
    await ctx.client.start(thanks, instance_id=f"thanks-{amount}", connection=ctx.connection)
    return int(await ctx.connection.fetchval("select count(*) from payment"))


@activity(transactional=True)
async def breaks_it(ctx: ActivityContext) -> None:
    with suppress(asyncpg.DivisionByZeroError):
        await ctx.connection.execute("select 1 / 0")


@activity(transactional=True)
async def returns_what_it_should_not(ctx: ActivityContext) -> int:
    await ctx.connection.execute("insert into payment values (7)")
    return cast("int", object())


@activity(transactional=True, timeout=0.2)
async def takes_too_long(ctx: ActivityContext) -> None:
    await ctx.connection.execute("insert into payment values (8)")
    await ctx.connection.execute("select pg_sleep(30)")


@activity(transactional=True)
async def loses_its_server(ctx: ActivityContext) -> None:
    RAN["loses_its_server"] += 1
    await ctx.connection.execute("insert into payment values (6)")
    if RAN["loses_its_server"] == 1:
        await ctx.connection.execute("select pg_terminate_backend(pg_backend_pid())")


@activity
async def has_no_transaction(ctx: ActivityContext) -> None:
    assert ctx.connection


@orchestration
async def thanks(_ctx: OrchestrationContext) -> str:
    return "thank you"


@orchestration
async def buys(_ctx: OrchestrationContext, amount: int) -> int:
    return await pays(amount)


CALLS = (
    breaks_it, returns_what_it_should_not, takes_too_long, loses_its_server, has_no_transaction,
)  # fmt: skip


@orchestration
async def reports(_ctx: OrchestrationContext, name: str) -> str:
    call: Any = {each.name: each for each in CALLS}[name]
    try:
        await call()
    except ActivityError as error:
        return f"{error.failure and error.failure.category}: {error}"
    return "done"


REGISTRY = Registry(*CALLS, pays, thanks, buys, reports)


@pytest.fixture(autouse=True)
def forget() -> None:
    RAN.clear()


@pytest.fixture
async def money(database_url: str, provider: PostgresProvider) -> AsyncGenerator[Any]:
    """A connection to a table of the application's own, in the same database."""
    assert provider is not None
    connection = await asyncpg.connect(database_url)
    await connection.execute("create table payment (amount int)")
    yield connection
    await connection.close()


async def paid(money: Any) -> list[int]:
    return [row[0] for row in await money.fetch("select amount from payment order by amount")]


async def test_what_a_body_writes_is_there_with_its_result(
    provider: PostgresProvider, money: Any
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(buys, 5)
        assert await handle.result(timeout=20) == 1
        assert await paid(money) == [5]
        assert await local.client.get_handle("thanks-5", str).result(timeout=20) == "thank you"


async def test_what_a_failed_attempt_wrote_is_gone(provider: PostgresProvider, money: Any) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(buys, -1)
        assert await handle.result(timeout=20) == 1
    assert RAN["pays"] == 2
    assert await paid(money) == [-1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("breaks_it", "transaction is aborted"),
        ("returns_what_it_should_not", "the result of activity"),
        ("takes_too_long", "took longer than 0.2 s"),
        ("has_no_transaction", "transactional=True"),
    ],
)
async def test_what_cannot_be_recorded_leaves_nothing(
    provider: PostgresProvider, money: Any, name: str, says: str
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(reports, name)
        assert says in str(await handle.result(timeout=20))
    assert await paid(money) == []


async def test_a_body_that_loses_its_server_is_run_again_without_a_policy(
    provider: PostgresProvider, money: Any
) -> None:
    async with LocalRuntime(provider, REGISTRY) as local:
        handle = await local.client.start(reports, "loses_its_server")
        assert await handle.result(timeout=20) == "done"
    assert RAN["loses_its_server"] == 2
    assert await paid(money) == [6]


class Doubtful(PostgresProvider):
    """Loses the reply to the first commit, which happened or did not."""

    loses: Literal["before", "after", ""] = ""

    @asynccontextmanager
    @override
    async def transaction(self, lease: ActivityLease) -> AsyncGenerator[PostgresTransaction]:
        lost = ProviderError("commit", "the connection was lost", retryable=True)
        loses, self.loses = self.loses, ""
        async with super().transaction(lease) as opened:
            yield opened
            if loses == "before":
                raise lost
        if loses == "after":
            raise lost


@pytest.mark.parametrize(("loses", "runs"), [("before", 2), ("after", 1)])
async def test_a_commit_in_doubt_happened_once(
    database_url: str, money: Any, loses: Literal["before", "after"], runs: int
) -> None:
    await migrate(database_url)
    async with Doubtful(database_url) as provider, LocalRuntime(provider, REGISTRY) as local:
        provider.loses = loses
        handle = await local.client.start(buys, 9)
        assert await handle.result(timeout=20) == 1
    assert RAN["pays"] == runs
    assert await paid(money) == [9]
