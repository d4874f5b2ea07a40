"""Some work goes first.

Use `priority=` where a queue of work has both kinds: what somebody waits for, and what may take all
night. Of what is due for one tag the greater goes first; children and activities have that of the
run.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def transcode(film: str) -> str:
    return f"small {film}"


@orchestration
async def transcode_all(
    ctx: OrchestrationContext, films: list[str], urgent: list[str]
) -> list[str]:
    films_later = [transcode(film) for film in films]
    films_now = [transcode.options(priority=10)(film) for film in urgent]
    return [await film for film in (*films_now, *films_later)]
