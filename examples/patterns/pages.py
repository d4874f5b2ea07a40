"""Go through something long, page by page.

Use it for tables and listings with a cursor. Each page is an execution: where it was is an
argument, what has been done a number, and the history stays as long as one page.
"""

import asyncio
from dataclasses import dataclass

from perdure import ActivityError, OrchestrationContext, activity, orchestration


@dataclass(frozen=True)
class Page:
    rows: list[int]
    next: int | None


@activity
def fetch_page(cursor: int, last: int) -> Page:
    rows = list(range(cursor, min(cursor + 10, last)))
    return Page(rows, cursor + 10 if cursor + 10 < last else None)


@activity
def index_row(row: int) -> None:
    print(f"indexed {row}")


@orchestration
async def index(ctx: OrchestrationContext, last: int, cursor: int = 0, done: int = 0) -> int:
    page = await fetch_page(cursor, last)
    outcomes = await asyncio.gather(*(index_row(row) for row in page.rows), return_exceptions=True)
    done += sum(not isinstance(outcome, ActivityError) for outcome in outcomes)
    ctx.set_custom_status({"done": done})
    if page.next is None:
        return done
    return await ctx.continue_as_new(last, page.next, done)
