"""The pages that the tables make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perdure.testing.semantics import history, names, rules, running, storage
from perdure.testing.semantics.rows import PLACES, Table, shown

__all__ = ["TABLES", "names_page", "semantics_page"]

TABLES = (
    *history.TABLES,
    *storage.TABLES,
    *rules.TABLES,
    *running.TABLES,
    *names.TABLES,
)
"""All tables of `docs/semantics.md`, in order."""

_SEMANTICS = """\
# The seed's semantics, and ours

Perdure's engine is modelled on duroxide. This page goes through what duroxide defines, row by
row: what stands for it here, and the difference. A row that begins with – has no counterpart
there; where the second column says *not there*, nothing of ours answers, and the third says why.

Names are code, by dotted paths: {places}. Other paths begin at `perdure`. `PERDURE_…` are
settings of processes, `perdure_…` are metrics.

A test looks up every name, and holds that no event, record, decision, error, setting, metric,
method of the client or of the context is missing. `python -m perdure.testing.semantics` writes
this page. What the original tests of its storage is in
[seed-conformance.md](seed-conformance.md), how its methods are spelled here in
[seed-names.md](seed-names.md).
"""

_NAMES = """\
# The names of duroxide

Whoever comes from duroxide finds every method of its context and its client here under its own
name. Beside each is the usual spelling, which type checkers see through and which we teach. What
each does, and where it differs, is in [semantics.md](semantics.md); authors begin with
[authoring.md](authoring.md).

Under its own name a method takes the arguments of an orchestration or activity as that takes them
where its definition is given, and in one mapping where a name is: `ctx.schedule_activity(charge,
order)`, `ctx.schedule_activity("charge", {"order": order})`. A test holds that no name is
missing; `python -m perdure.testing.semantics names` writes this page.
"""


def semantics_page(tables: Sequence[Table]) -> str:
    """Write `docs/semantics.md`."""
    places = ", ".join(f"`{word}.` for `{place}`" for word, place in sorted(PLACES.items()))
    return "\n".join([_SEMANTICS.format(places=places), *_lines(tables)])


def _lines(tables: Sequence[Table]) -> Iterator[str]:
    for table in tables:
        yield f"## {table.title}\n"
        if table.before:
            yield f"{table.before}\n"
        yield "| seed | ours | difference |"
        yield "| --- | --- | --- |"
        for row in table.rows:
            ours = ", ".join(shown(path) for path in row.ours) or "*not there*"
            difference = row.difference.removeprefix("not there: ")
            yield f"| {row.seed} | {ours} | {difference} |"
        yield ""


def names_page() -> str:
    """Write `docs/seed-names.md`."""
    lines = [_NAMES]
    for table in (names.CONTEXT, names.CLIENT):
        lines += [f"## {table.title}\n", "| its name | usually | |", "| --- | --- | --- |"]
        for row in table.rows:
            more = "" if row.difference == "the same" else row.difference
            lines.append(f"| `{row.seed}` | `{row.ours[0]}` | {more} |")
        lines.append("")
    return "\n".join(lines)
