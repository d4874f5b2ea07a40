"""Do what can be done, and say what could not.

Use it for batches in which one bad item must not keep the others from being done.
"""

import asyncio
from dataclasses import dataclass

from perdure import ActivityError, OrchestrationContext, activity, orchestration


@dataclass(frozen=True)
class Imported:
    done: list[str]
    refused: dict[str, str]


@activity
def import_row(row: str) -> str:
    if not row.isdigit():
        raise ValueError(f"{row!r} is no number")
    return f"row {row}"


@orchestration
async def import_rows(ctx: OrchestrationContext, rows: list[str]) -> Imported:
    outcomes = await asyncio.gather(*(import_row(row) for row in rows), return_exceptions=True)
    imported = Imported([], {})
    for row, outcome in zip(rows, outcomes, strict=True):
        match outcome:
            case str():
                imported.done.append(outcome)
            case ActivityError(failure=failure) if failure is not None:
                imported.refused[row] = failure.message
            case other:
                raise other  # a cancellation, say: not ours to swallow
    return imported
