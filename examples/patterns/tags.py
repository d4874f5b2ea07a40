"""Work that needs another kind of machine.

Use tags for GPUs, licences, networks, secrets. `perdure executor --tags gpu` takes what is tagged
so and nothing else; a tag that nobody serves waits, see `nobody_serves`.
"""

import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity(tag="gpu")
def embed(text: str) -> list[float]:
    return [float(ord(letter)) for letter in text]


@activity
def average(vectors: list[list[float]]) -> float:
    numbers = [number for vector in vectors for number in vector]
    return sum(numbers) / len(numbers)


@orchestration
async def centre(ctx: OrchestrationContext, texts: list[str], *, large: bool = False) -> float:
    embedding = embed.options(tag="large-gpu") if large else embed
    return await average(await asyncio.gather(*(embedding(text) for text in texts)))
