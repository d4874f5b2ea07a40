"""Everything together: from targets to findings."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from perdure.checking.calls import Hit, check_call, check_reference
from perdure.checking.definitions import check_activity_body, check_definition, check_duplicates
from perdure.checking.flow import check_awaits, check_excepts, check_loops, check_state
from perdure.checking.order import check_order
from perdure.checking.program import Body, Place, Program
from perdure.checking.rules import Finding, chosen
from perdure.checking.sources import Source, find_sources
from perdure.checking.suppressions import apply_suppressions

__all__ = ["Report", "check"]

_BODY_RULES: Final[tuple[Callable[[Place], Iterator[Hit]], ...]] = (
    check_call,
    check_reference,
    check_order,
    check_state,
    check_awaits,
    check_excepts,
    check_loops,
)
_SHOWN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what was found."""

    findings: tuple[Finding, ...]
    """By file, line and column."""
    files: int
    orchestrations: int
    activities: int


def check(
    targets: Sequence[str], *, select: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Report:
    """Check files, folders and modules; nothing of them is imported.

    Args:
        targets: Paths or dotted module names.
        select: Beginnings of codes to look for; none means all.
        ignore: Beginnings of codes to leave out.

    Raises:
        ConfigurationError: a target is not there, or a beginning fits no code.
    """
    codes = chosen(tuple(select), tuple(ignore))
    sources = find_sources(targets)
    program = Program(sources)
    found: dict[str, set[Finding]] = {source.path: set() for source in sources}
    for source in sources:
        if source.problem is not None:
            line, column, reason = source.problem
            found[source.path].add(Finding(source.path, line, column, "PD903", reason, line))
    for finding in _findings(program):
        found[finding.path].add(finding)
    findings: list[Finding] = []
    for source in sources:
        here = sorted(f for f in found[source.path] if f.code in codes)
        kept = apply_suppressions(source, here, codes)
        findings += sorted(f for f in kept if f.code in codes)
    kinds = [definition.kind for definition in program.all_definitions]
    return Report(
        tuple(findings), len(sources), kinds.count("orchestration"), kinds.count("activity")
    )


def _findings(program: Program) -> Iterator[Finding]:
    users: dict[str, list[str]] = {}
    for definition in program.all_definitions:
        source = definition.body.source
        for hit in check_definition(definition, program):
            yield _finding(source, hit)
        if definition.kind == "orchestration":
            for body in program.reached(definition.body, *definition.others):
                users.setdefault(body.name, []).append(definition.name)
        else:
            for place in program.places(definition.body):
                for hit in check_activity_body(place):
                    yield _finding(source, hit)
    for definition, hit in check_duplicates(program):
        yield _finding(definition.body.source, hit)
    nested = _nested(program, users)
    for name, names in users.items():
        if name not in nested:
            yield from _in_body(program, program.bodies[name], names)


def _nested(program: Program, users: dict[str, list[str]]) -> set[str]:
    """Name the functions that stand in another one that is looked at, and so are seen there."""
    return {
        name
        for name in users
        if any(
            program.bodies[other].scope is program.bodies[name].outer
            for other in users
            if other != name
        )
    }


def _in_body(program: Program, body: Body, names: Sequence[str]) -> Iterator[Finding]:
    """Apply the rules to a body; for a helper, say which orchestrations bring it into play."""
    suffix = ""
    if all(body is not definition.body for definition in program.all_definitions):
        listed = ", ".join(repr(name) for name in sorted(set(names))[:_SHOWN_MAX])
        suffix = f" (in {body.node.name!r}, which orchestration {listed} reaches)"
    for place in program.places(body):
        for rule in _BODY_RULES:
            for hit in rule(place):
                yield _finding(body.source, hit._replace(message=hit.message + suffix))


def _finding(source: Source, hit: Hit) -> Finding:
    code, node, message = hit
    line: int = getattr(node, "lineno", 1)
    column: int = getattr(node, "col_offset", 0)
    return Finding(source.path, line, column + 1, code, message, _last_line(source, node, line))


def _last_line(source: Source, node: ast.AST, line: int) -> int:
    """Find the last line of the simple statement around a node; of a compound one, its head."""
    around: ast.AST | None = node
    while around is not None and not isinstance(around, ast.stmt | ast.ExceptHandler):
        around = source.parents.get(around)
    if around is None:
        return line
    body: list[ast.stmt] = getattr(around, "body", [])
    if body:
        return max(line, min(body[0].lineno - 1, getattr(node, "end_lineno", line)))
    return max(line, getattr(around, "end_lineno", line) or line)
