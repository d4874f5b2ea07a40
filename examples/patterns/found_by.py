"""Be found by what a run is about.

Use attributes for what somebody will search by: `client.list(attributes={"team": "red"})`, and
`perdure list`. Give them at the start, and let the run change them as it learns more.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def triage(ticket: str) -> str:
    return "red" if "fire" in ticket else "green"


@orchestration
async def handle_ticket(ctx: OrchestrationContext, ticket: str) -> str:
    team = await triage(ticket)
    ctx.set_attributes(team=team, open=True)
    answer = await ctx.wait_event("answered", str)
    ctx.set_attributes(open=False)
    return f"{team}: {answer}"
