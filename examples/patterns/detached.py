"""Start something and go on without it.

Use it for what nobody here waits for: mails, reports, clean-up. It is a run of its own: it goes on
when this one has ended, and cancelling this one leaves it alone. With an id of your choice it
can be found again.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def send_mail(to: str, text: str) -> str:
    return f"{to}: {text}"


@orchestration
async def notify(ctx: OrchestrationContext, to: str, text: str) -> str:
    return await send_mail(to, text)


@orchestration
async def register(ctx: OrchestrationContext, customer: str) -> str:
    welcome = notify.options(instance_id=f"welcome-{customer}")
    return welcome.start_detached(customer, "hello")
