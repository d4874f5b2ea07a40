"""An edit of code that runs are in the middle of.

Use `ctx.patched` for an edit that may not wait for another version: a step to insert, an order to
change. Who has passed the place already keeps the old branch; who comes later takes the new one.
When nobody is left on the old branch, write `ctx.deprecate_patch`, and later remove that too.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def write_letter(to: str) -> str:
    return f"letter to {to}"


@activity
def write_mail(to: str) -> str:
    return f"mail to {to}"


@orchestration
async def invite(ctx: OrchestrationContext, guest: str) -> str:
    invitation = await (write_mail if ctx.patched("by-mail") else write_letter)(guest)
    answer = await ctx.wait_event("answered", str)
    return f"{invitation}: {answer}"
