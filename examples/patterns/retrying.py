"""An activity that is tried again, with growing pauses.

Use it for what fails now and then: networks, quotas, other people's services. The executor waits
and tries; the orchestration sees one call with one outcome. `timeout` bounds a single attempt.
Nothing is tried again unless a policy says so.
"""

from datetime import timedelta

from perdure import OrchestrationContext, Retry, activity, orchestration

PATIENT = Retry.exponential(
    timedelta(seconds=1), 5, longest=timedelta(seconds=30), not_on=("ValueError",)
)


@activity(retry=PATIENT, timeout=20)
def fetch(url: str) -> str:
    return f"content of {url}"


@orchestration
async def mirror(ctx: OrchestrationContext, url: str, *, urgent: bool = False) -> str:
    if urgent:  # the same activity, for this call with other terms
        return await fetch.options(retry=Retry.fixed(timedelta(milliseconds=100), 3))(url)
    return await fetch(url)
