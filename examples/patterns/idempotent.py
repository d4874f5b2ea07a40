"""An activity that may run twice without harm.

Use it always: an executor may die after the work and before anybody knows. `idempotency_key` is the
same for every attempt of one call and for no other; hand it to what you call, or keep what you
did under it.
"""

from perdure import ActivityContext, OrchestrationContext, activity, orchestration

BANK: dict[str, int] = {}
"""Stands for a bank that takes a key with each transfer."""


@activity
def transfer(ctx: ActivityContext, cents: int) -> str:
    BANK.setdefault(ctx.idempotency_key, cents)
    return ctx.idempotency_key


@orchestration
async def pay_twice(ctx: OrchestrationContext, cents: int) -> int:
    keys = [await transfer(cents), await transfer(cents)]  # two calls, and so two keys
    return len(set(keys))
