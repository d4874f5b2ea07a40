"""Statements, read from `sql/`: each by its name in its file."""

from __future__ import annotations

from importlib import resources

__all__ = ["schema_script", "statements"]

_HERE = "perdure.providers.sqlite"
_MARK = "-- name: "


def statements(file: str, package: str = _HERE) -> dict[str, str]:
    """Read the statements of one file, by name."""
    found: dict[str, str] = {}
    for part in _read(file, package).split(_MARK)[1:]:
        name, _, text = part.partition("\n")
        found[name.strip()] = text.strip()
    return found


def schema_script() -> str:
    """Read the script that makes all tables."""
    return _read("schema", _HERE)


def _read(file: str, package: str) -> str:
    return (resources.files(package) / "sql" / f"{file}.sql").read_text(encoding="utf-8")
