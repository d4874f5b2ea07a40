"""Histories kept in files: to see a change of behaviour, and to replay what production did."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from perdure.client.archives import read_archives
from perdure.errors import AuthorError
from perdure.model.events import Event
from perdure.replay.registry import Registry
from perdure.replay.turn import replay_history

__all__ = ["compare_history", "replay_dir"]

_LEFT_OUT = frozenset({"event_id", "at", "seq", "line", "fire_at"})


def compare_history(golden: Path, events: Iterable[Event], instance: str) -> None:
    """Compare events with a file of them, one JSON object a line.

    Raises:
        AssertionError: they differ, or there is no such file.
    """
    found = [_line(event).replace(instance, "INSTANCE") for event in events]
    if os.environ.get("PERDURE_UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text("\n".join(found) + "\n")
        return
    if not golden.exists():
        raise AssertionError(f"{golden} is not there; pytest --update-golden writes it")
    wanted = golden.read_text().splitlines()
    if found != wanted:
        lines = difflib.unified_diff(wanted, found, str(golden), "this run", lineterm="", n=1)
        raise AssertionError(
            "the history differs; if it should, pytest --update-golden writes the file anew\n"
            + "\n".join(lines)
        )


def _line(event: Event) -> str:
    fields: dict[str, object] = {"kind": event.kind}
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if field.name not in _LEFT_OUT and value not in (None, (), ""):
            fields[field.name] = value
    return json.dumps(fields, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> object:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = dataclasses.asdict(value)
        plain.pop("traceback", None)
        return plain
    return str(value)


def replay_dir(folder: Path | str, *code: ModuleType | Registry) -> Callable[..., None]:
    """Make a test that replays every history (`*.jsonl`) in a folder against this code.

    ::

        test_old_runs_still_replay = replay_dir("histories", my_app)

    The files are those of `perdure export` and `RunUnderTest.save`. A history whose decisions the
    code no longer makes fails its test, with the edit that did it. A folder without files fails.
    """
    import pytest  # noqa: PLC0415  only here, and only in tests

    files: Sequence[Path] = sorted(Path(folder).glob("*.jsonl"))
    registry = Registry()
    for each in code:
        registry.merge(each if isinstance(each, Registry) else Registry.from_module(each))

    @pytest.mark.parametrize("path", files or [None], ids=[path.name for path in files] or None)
    def test_replays(path: Path | None) -> None:
        if path is None:
            raise AssertionError(f"there is no *.jsonl in {folder}; perdure export writes some")
        for archive in read_archives(path.read_text().splitlines()):
            try:
                replay_history(registry, archive.info.instance, archive.records)
            except AuthorError as error:
                raise AssertionError(f"{path.name}: {archive.info.instance}: {error}") from error

    return test_replays
