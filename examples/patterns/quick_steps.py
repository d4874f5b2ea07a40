"""Something quick that is not the same every time.

Use `ctx.step` for a setting, a flag, a local clock: it runs within the turn and is recorded with
it, without an executor and without a wait. What takes longer than a few milliseconds, or may have
to be tried again, is an activity.
"""

import os

from perdure import OrchestrationContext, activity, orchestration


def setting(name: str, default: str) -> str:
    return os.environ.get(name, default)


@activity
def greet(name: str, language: str) -> str:
    return f"{'Hallo' if language == 'de' else 'Hello'}, {name}!"


@orchestration
async def welcome(ctx: OrchestrationContext, name: str) -> str:
    language = ctx.step(setting, "GREETING_LANGUAGE", "en")
    return await greet(name, language)
