"""An activity whose rows are there once, whatever happens.

Use `transactional=True` where the work is rows in the database that Perdure's histories are in:
what is written through `ctx.connection` and the result are one transaction. (The SQL here is
SQLite's, which tests use; with Postgres the connection is asyncpg's.)
"""

from perdure import ActivityContext, OrchestrationContext, activity, orchestration


@activity(transactional=True)
async def book(ctx: ActivityContext, account: str, cents: int) -> int:
    rows = ctx.connection
    rows.execute("create table if not exists booking (account text, cents integer)")
    rows.execute("insert into booking values (?, ?)", (account, cents))
    query = "select sum(cents) from booking where account = ?"
    return int(rows.execute(query, (account,)).fetchone()[0])


@orchestration
async def transfer(ctx: OrchestrationContext, source: str, target: str, cents: int) -> int:
    await book(source, -cents)
    return await book(target, cents)
