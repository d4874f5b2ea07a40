"""A loop of thousands of rounds with a history that stays short.

Use `ctx.should_continue_as_new` where rounds are of different length, or count rounds as here. The
first is true from ten thousand records on, long before a history is refused.
"""

from perdure import OrchestrationContext, activity, orchestration

ROUNDS = 100


@activity
def polish(stone: int) -> int:
    return stone


@orchestration
async def polish_all(ctx: OrchestrationContext, stones: int, begin: int = 0) -> int:
    for stone in range(begin, stones):
        if stone == begin + ROUNDS or ctx.should_continue_as_new:
            return await ctx.continue_as_new(stones, stone)
        await polish(stone)
    return stones
