"""Several things of different types at the same time.

Use it to gather what a decision needs. Checkers know each result's type: here `int`, `str` and
`bool`. `ctx.join3` is the same for whoever wants failures as values.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
def ask_price(item: str) -> int:
    return len(item) * 100


@activity
def ask_address(customer: str) -> str:
    return f"{customer}, 1 Main Street"


@activity
def is_member(customer: str) -> bool:
    return customer == "Ada"


@orchestration
async def quote(ctx: OrchestrationContext, customer: str, item: str) -> str:
    price, address, member = await asyncio.gather(
        ask_price(item), ask_address(customer), is_member(customer)
    )
    return f"{price - price // 10 if member else price} to {address}"
