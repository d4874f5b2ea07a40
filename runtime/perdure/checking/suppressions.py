"""`# perdure: allow PD101 reason`: a finding that is right as it is, and why.

The comment stands on a line of the statement that it is about, or on a line of its own right above.
Several codes are parted by commas. Without a reason it suppresses nothing.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from perdure.checking.rules import RULES, Finding
from perdure.checking.sources import Source

__all__ = ["apply_suppressions"]

_COMMENT: Final = re.compile(
    r"#\s*perdure:\s*allow\b[\s:]*(?P<codes>[A-Z]+\d+(?:\s*,\s*[A-Z]+\d+)*)?[\s:]*(?P<reason>.*)"
)
_REASON: Final = re.compile(r"\w{3}")


@dataclass(slots=True)
class _Suppression:
    line: int
    column: int
    codes: tuple[str, ...]
    reason: str
    lines: frozenset[int]
    """Which lines it is about."""
    used: frozenset[str] = frozenset()


def apply_suppressions(
    source: Source, findings: Iterable[Finding], codes: frozenset[str]
) -> list[Finding]:
    """Leave out what is suppressed, and report comments that suppress nothing or say not why."""
    suppressions = _read(source)
    kept: list[Finding] = []
    for finding in findings:
        lines = {finding.line, finding.last_line}
        matching = [
            each
            for each in suppressions
            if finding.code in each.codes and each.lines & lines and _REASON.search(each.reason)
        ]
        for each in matching:
            each.used |= {finding.code}
        if not matching:
            kept.append(finding)
    for each in suppressions:
        kept.extend(_problems(source, each, codes))
    return kept


def _problems(source: Source, each: _Suppression, codes: frozenset[str]) -> list[Finding]:
    def found(code: str, message: str) -> list[Finding]:
        return [Finding(source.path, each.line, each.column, code, message, each.line)]

    if not each.codes:
        return found("PD902", "name what is allowed: `# perdure: allow PD101 because ...`")
    if not _REASON.search(each.reason):
        listed = ", ".join(each.codes)
        return found("PD902", f"say why {listed} is right here: without a reason it is not")
    unknown = [code for code in each.codes if code not in RULES]
    if unknown:
        return found("PD901", f"there is no code {', '.join(unknown)}: `perdure check --explain`")
    unused = [code for code in each.codes if code in codes and code not in each.used]
    if unused:
        return found("PD901", f"nothing here is {', '.join(unused)} any more: remove it")
    return []


def _read(source: Source) -> list[_Suppression]:
    if "perdure:" not in source.text:
        return []
    found: list[_Suppression] = []
    lines = source.text.splitlines()
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source.text).readline))
    except (tokenize.TokenError, SyntaxError):  # what does not parse is reported as such
        return []
    for token in tokens:
        match = _COMMENT.match(token.string) if token.type == tokenize.COMMENT else None
        if match is None:
            continue
        line, column = token.start
        about = {line}
        if not lines[line - 1][:column].strip():
            about = {_next_code_line(lines, line)}
        codes = tuple(code.strip() for code in (match["codes"] or "").split(",") if code.strip())
        found.append(_Suppression(line, column + 1, codes, match["reason"], frozenset(about)))
    return found


def _next_code_line(lines: list[str], line: int) -> int:
    """Return the first line below that is neither empty nor a comment."""
    for number in range(line, len(lines)):
        text = lines[number].strip()
        if text and not text.startswith("#"):
            return number + 1
    return line
