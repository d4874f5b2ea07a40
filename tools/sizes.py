"""Prints the longest files and functions: to look at, not to obey (tests/tidy has the bounds)."""

from __future__ import annotations

import ast
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_FOLDERS = ("runtime", "operator", "tests", "examples", "benchmarks", "tools")
_SHOWN = 10


def _functions(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text())
    return [
        (node.end_lineno - node.lineno + 1, f"{path.relative_to(_ROOT)}:{node.lineno} {node.name}")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def _longest(title: str, sizes: list[tuple[int, str]]) -> None:
    print(title)
    for lines, name in sorted(sizes, reverse=True)[:_SHOWN]:
        print(f"{lines:>6}  {name}")


def main() -> None:
    """Both tables, and the total."""
    paths = [path for folder in _FOLDERS for path in (_ROOT / folder).rglob("*.py")]
    paths = [path for path in paths if not any(part.startswith(".") for part in path.parts)]
    files = [(len(path.read_text().splitlines()), str(path.relative_to(_ROOT))) for path in paths]
    _longest("files", files)
    _longest("functions", [size for path in paths for size in _functions(path)])
    print(f"{sum(lines for lines, _ in files):>6}  in {len(files)} files")


if __name__ == "__main__":
    main()
