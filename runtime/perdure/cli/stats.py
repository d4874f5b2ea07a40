"""`perdure stats`: what is stored, due and waiting, as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect_client
from perdure.cli.describe import duration, status_text
from perdure.cli.limits import limit_document, print_limits
from perdure.cli.output import Output, OutputOption, data_console, print_document, print_table
from perdure.providers.administering import LimitState, Totals
from perdure.providers.reading import InstanceStatus, TagBacklog

__all__ = ["stats"]


@dataclass(frozen=True, slots=True)
class _Stats:
    totals: Totals
    backlog: tuple[TagBacklog, ...]
    limits: tuple[LimitState, ...]


def stats(
    *,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Show how much is stored, due and waiting, by tag and by limit.

    What was dropped or expired is counted under its name: nothing is lost silently.

    Examples:
        perdure stats
        perdure stats -o json | jq .dueTurns
    """

    async def go() -> _Stats:
        async with connect_client(database_url, schema) as client:
            return _Stats(
                await client.totals(), tuple(await client.backlog()), tuple(await client.limits())
            )

    found = asyncio.run(go())
    if output in {Output.JSON, Output.YAML}:
        print_document(_document(found), output)
    else:
        _print(found)


def _document(found: _Stats) -> dict[str, object]:
    totals = found.totals
    return {
        "instances": {status.value: count for status, count in _present(totals.instances).items()},
        "records": totals.records,
        "dueTurns": totals.due_turns,
        "waitingActivities": totals.waiting_activities,
        "runningActivities": totals.leased_activities,
        "timers": totals.timers,
        "earlyMessages": totals.early_messages,
        "tallies": dict(totals.tallies),
        "tags": [
            {
                "tag": one.tag,
                "waiting": one.ready,
                "running": one.leased,
                "oldestSeconds": one.oldest_age.total_seconds() if one.oldest_age else None,
            }
            for one in found.backlog
        ],
        "limits": [limit_document(one) for one in found.limits],
    }


def _present(counts: Mapping[InstanceStatus, int]) -> dict[InstanceStatus, int]:
    return {status: counts[status] for status in InstanceStatus if counts.get(status)}


def _print(found: _Stats) -> None:
    totals = found.totals
    rows: list[tuple[str | Text, str]] = [
        (Text("instances ") + status_text(status), str(count))
        for status, count in _present(totals.instances).items()
    ]
    rows += [
        ("records, about", str(totals.records)),
        ("turns due", str(totals.due_turns)),
        ("activities waiting", str(totals.waiting_activities)),
        ("activities running", str(totals.leased_activities)),
        ("timers", str(totals.timers)),
        ("messages for instances yet to start", str(totals.early_messages)),
    ]
    rows += [(name, str(count)) for name, count in sorted(totals.tallies.items())]
    print_table(["WHAT", "COUNT"], rows, right=("COUNT",))
    if found.backlog:
        data_console().print()
        tags = [
            (
                one.tag or "(untagged)",
                str(one.ready),
                str(one.leased),
                duration(one.oldest_age) if one.oldest_age is not None else "",
            )
            for one in found.backlog
        ]
        print_table(
            ["TAG", "WAITING", "RUNNING", "OLDEST"], tags, right=("WAITING", "RUNNING", "OLDEST")
        )
    if found.limits:
        data_console().print()
        print_limits(found.limits)
