"""`perdure pools`: who is alive to do work, and what work waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rich.text import Text

from perdure.cli.connection import DatabaseUrlOption, SchemaOption, connect
from perdure.cli.describe import ago, duration
from perdure.cli.output import Output, OutputOption, data_console, print_document, print_table
from perdure.providers.reading import LiveExecutor, Role, TagBacklog

__all__ = ["pools"]


def pools(
    *,
    output: OutputOption = Output.TABLE,
    database_url: DatabaseUrlOption = None,
    schema: SchemaOption = "perdure",
) -> None:
    """Show live replayers and executors, and how much waits for each tag.

    A tag that nobody serves is marked: its activities wait until somebody does.

    Examples:
        perdure pools
        perdure pools -o json | jq '.tags[] | select(.servedBy == 0)'
    """

    async def go() -> tuple[Sequence[LiveExecutor], Sequence[TagBacklog]]:
        async with connect(database_url, schema) as provider:
            return await provider.read_executors(), await provider.read_backlog()

    executors, backlog = asyncio.run(go())
    if output in {Output.JSON, Output.YAML}:
        document = {
            "executors": [_executor_document(one) for one in executors],
            "tags": [_tag_document(one, executors) for one in backlog],
        }
        print_document(document, output)
        return
    _print_executors(executors)
    data_console().print()
    _print_tags(backlog, executors)


def _served_by(tag: str, executors: Sequence[LiveExecutor]) -> int:
    return sum(one.info.role is Role.ACTIVITY and tag in one.info.tags for one in executors)


def _print_executors(executors: Sequence[LiveExecutor]) -> None:
    rows: list[list[str | Text]] = []
    for one in sorted(executors, key=lambda one: (one.info.role, one.info.name)):
        info = one.info
        is_replay = info.role is Role.REPLAY
        serves = sorted({code.name for code in info.code} if is_replay else {*info.tags})
        rows.append(
            [
                info.name,
                "replayer" if is_replay else "executor",
                info.build or "-",
                f"{info.busy}" if is_replay else f"{info.busy}/{info.slots}",
                Text("draining", style="yellow") if info.draining else "",
                ago(one.seen_at),
                ",".join(name or "(untagged)" for name in serves),
            ]
        )
    print_table(["NAME", "ROLE", "BUILD", "BUSY", "STATE", "SEEN", "SERVES"], rows)


def _print_tags(backlog: Sequence[TagBacklog], executors: Sequence[LiveExecutor]) -> None:
    rows: list[list[str | Text]] = []
    for one in backlog:
        served = _served_by(one.tag, executors)
        rows.append(
            [
                one.tag or "(untagged)",
                str(one.ready),
                str(one.leased),
                duration(one.oldest_age) if one.oldest_age is not None else "",
                str(served) if served else Text("nobody", style="bold yellow"),
            ]
        )
    print_table(
        ["TAG", "WAITING", "RUNNING", "OLDEST", "SERVED BY"],
        rows,
        right=("WAITING", "RUNNING", "OLDEST", "SERVED BY"),
    )


def _executor_document(one: LiveExecutor) -> dict[str, object]:
    info = one.info
    return {
        "name": info.name,
        "role": info.role.value,
        "build": info.build,
        "tags": list(info.tags),
        "code": [{"name": code.name, "version": code.version} for code in info.code],
        "activities": list(info.activities),
        "slots": info.slots,
        "busy": info.busy,
        "draining": info.draining,
        "seenAt": one.seen_at.isoformat(),
    }


def _tag_document(one: TagBacklog, executors: Sequence[LiveExecutor]) -> dict[str, object]:
    return {
        "tag": one.tag,
        "waiting": one.ready,
        "running": one.leased,
        "oldestSeconds": one.oldest_age.total_seconds() if one.oldest_age is not None else None,
        "servedBy": _served_by(one.tag, executors),
    }
