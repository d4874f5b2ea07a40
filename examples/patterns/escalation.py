"""A task for a person that goes up a level when nobody takes it.

Use it for documents to sign, incidents to take over: whoever is asked has so many hours, then the
next one is asked too. An answer counts whoever gives it, also the one who was late.
"""

import asyncio

from perdure import ApplicationError, OrchestrationContext, activity, orchestration


@activity
def ask_person(person: str, document: str) -> None:
    print(f"{person}: please sign {document}")


@activity
def file_away(document: str, signed_by: str) -> str:
    return f"{document}, signed by {signed_by}"


@orchestration
async def sign(
    ctx: OrchestrationContext, document: str, people: list[str], hours: float = 8
) -> str:
    signed = ctx.wait_event("signed", str)
    for person in people:
        await ask_person(person, document)
        ctx.set_custom_status(f"waits for {person}")
        done, _ = await asyncio.wait([signed], timeout=hours * 3600)
        if done:
            return await file_away(document, signed.result())
    raise ApplicationError(f"nobody signed {document}", details=people, type="NobodySigned")
