"""A loop whose steps build on one another.

Use it where each step needs what all before it came to; where they are independent, fan out. The
local variables are the state: a replay fills them again from the recorded results.
"""

from perdure import OrchestrationContext, activity, orchestration


@activity
def translate(paragraph: str, glossary: list[str]) -> tuple[str, list[str]]:
    terms = [word for word in paragraph.split() if word.istitle() and word not in glossary]
    return paragraph.upper(), terms


@orchestration
async def translate_book(
    ctx: OrchestrationContext, paragraphs: list[str]
) -> tuple[list[str], list[str]]:
    done: list[str] = []
    glossary: list[str] = []
    for paragraph in paragraphs:
        text, terms = await translate(paragraph, glossary)
        done.append(text)
        glossary += terms
    return done, glossary
