"""`perdure bench`: run workloads and print what they cost."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from perdure.cli.bench.measure import Plan, measure
from perdure.cli.bench.measurement import Measurement, as_json
from perdure.cli.bench.server import Server, own_server
from perdure.cli.bench.workloads import WORKLOADS, Workload
from perdure.cli.loops import runner
from perdure.cli.output import Output, notes_console, print_documents, print_table
from perdure.errors import ConfigurationError

__all__ = ["bench"]

_DEFAULT = ("W1", "W1lat", "W2", "W3", "W4", "W5", "W7", "W8")


def bench(
    *,
    workloads: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKLOAD]...",
            help=f"Any of {', '.join(WORKLOADS)}; by default {', '.join(_DEFAULT)}.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, help="How many, instead of the workload's own number."),
    ] = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="How often; the table shows medians.")
    ] = 1,
    slots: Annotated[
        int | None,
        typer.Option(
            "--slots", min=1, help="Activities at once in the executor.", show_default=False
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="Measure on this server, whose user may make databases; "
            "by default on one of our own, started for the purpose.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="table, or one JSON document on each line.")
    ] = Output.TABLE,
) -> None:
    """Measure Perdure on this machine.

    Each workload runs in a fresh database, with a replayer, an executor and the client as
    processes of their own. Without --database-url it starts a Postgres that writes to disk as
    durably as a production server (extra `embedded`).

    Examples:
        perdure bench                        everything, a few minutes
        perdure bench W1 --n 20000           a longer burst
        perdure bench W4 --repeat 5 -o json  one line of JSON for each run
    """
    chosen = _chosen(workloads or _DEFAULT)
    with _server(database_url) as server, runner() as loop:
        measurements = loop.run(
            _all(server, chosen, n=n, repeat=repeat, slots=slots, output=output)
        )
    match output:
        case Output.TABLE | Output.WIDE:
            _print_table(measurements, is_wide=output is Output.WIDE)
        case Output.YAML:
            print_documents([json.loads(as_json(one)) for one in measurements], output)
        case Output.JSON:  # printed as they came
            return


def _chosen(names: Sequence[str]) -> list[Workload]:
    by_name = {name.lower(): workload for name, workload in WORKLOADS.items()}
    unknown = [name for name in names if name.lower() not in by_name]
    if unknown:
        raise ConfigurationError(
            f"There is no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}"
        )
    return [by_name[name.lower()] for name in names]


@contextmanager
def _server(url: str | None) -> Generator[Server]:
    if url is not None:
        yield Server(url=url, pid=None)
        return
    _note("starting Postgres")
    with own_server() as server:
        yield server


async def _all(
    server: Server,
    workloads: Sequence[Workload],
    *,
    n: int | None,
    repeat: int,
    slots: int | None,
    output: Output,
) -> list[Measurement]:
    measurements: list[Measurement] = []
    for turn in range(1, repeat + 1):  # round-robin: what else the machine does hits all alike
        for workload in workloads:
            label = f"{workload.name} {turn}/{repeat}"
            plan = Plan(
                workload=workload,
                n=n or workload.n,
                repeat=turn,
                slots=slots,
                tell=partial(_tell, label),
            )
            measurement = await measure(server, plan)
            measurements.append(measurement)
            _note(f"{label}: {_headline(measurement)}")
            if output is Output.JSON:
                sys.stdout.write(f"{as_json(measurement)}\n")
                sys.stdout.flush()
    return measurements


def _tell(label: str, what: str) -> None:
    _note(f"{label}: {what}")


def _note(text: str) -> None:
    notes_console().print(Text(text, style="dim"))


def _headline(one: Measurement) -> str:
    parts = [f"{one.seconds:.3f} s"]
    if one.per_second is not None:
        parts.append(f"{one.per_second:,.0f}/s")
    if one.latency_ms is not None:
        parts.append(f"p50 {one.latency_ms.p50} ms, p99 {one.latency_ms.p99} ms")
    parts += [f"{name} {value:g}" for name, value in one.detail.items()]
    return ", ".join(parts)


def _print_table(measurements: Sequence[Measurement], *, is_wide: bool) -> None:
    columns = [
        "WORKLOAD",
        "N",
        "SECONDS",
        "PER SECOND",
        "P50 MS",
        "P99 MS",
        "TRANSACTIONS",
        "WAL KB",
    ]
    if is_wide:
        columns += ["CPU CLIENT", "REPLAY", "EXECUTOR", "POSTGRES", "RSS REPLAY", "RSS EXECUTOR"]
    columns.append("BESIDES")
    rows: list[list[str]] = []
    for name in dict.fromkeys(one.workload for one in measurements):
        runs = [one for one in measurements if one.workload == name]
        rows.append(_row(runs, is_wide=is_wide))
    print_table(columns, rows, right=columns[1:-1])


def _row(runs: Sequence[Measurement], *, is_wide: bool) -> list[str]:
    def median(values: Sequence[float | None], digits: int = 0) -> str:
        known = [value for value in values if value is not None]
        return f"{statistics.median(known):,.{digits}f}" if known else "-"

    latencies = [run.latency_ms for run in runs if run.latency_ms is not None]
    row = [
        runs[0].workload,
        f"{runs[0].n:,}",
        median([run.seconds for run in runs], 3),
        median([run.per_second for run in runs]),
        median([one.p50 for one in latencies], 1),
        median([one.p99 for one in latencies], 1),
        median([run.transactions for run in runs]),
        median([None if run.wal_bytes is None else run.wal_bytes / 1000 for run in runs]),
    ]
    if is_wide:
        cpu = [run.cpu_seconds for run in runs]
        memory = [run.rss_mb for run in runs]
        row += [
            median([one.client for one in cpu], 2),
            median([one.replay for one in cpu], 2),
            median([one.executor for one in cpu], 2),
            median([one.postgres for one in cpu], 2),
            median([one.replay for one in memory]),
            median([one.executor for one in memory]),
        ]
    details = (
        f"{name}={median([run.detail.get(name) for run in runs], 2)}" for name in runs[0].detail
    )
    return [*row, " ".join(details)]
