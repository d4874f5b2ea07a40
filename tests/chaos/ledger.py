"""What was asked for and what was acknowledged, in a file of its own that no kill can reach.

Every line is on the disk before the next thing happens: the wish before the call, the
acknowledgement when the call has returned. At the end the file is read back and storage is held
against it: what was acknowledged has to be there once, what was only wished may be there once.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

__all__ = ["Entry", "Ledger", "read_ledger"]


class Ledger:
    """The file while it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        self._file = self.path.open("a")
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, what: str, instance: str, **more: object) -> None:
        """Add a line, and wait until it is on the disk."""
        assert self._file is not None
        self._file.write(json.dumps({"what": what, "instance": instance, **more}) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


@dataclass(slots=True)
class Entry:
    """What the file says of one instance."""

    kind: str = ""
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    expected: object = None
    accepted: bool = False
    wished: list[int] = field(default_factory=list[int])
    """Numbers that were sent, whatever came of it."""
    sent: list[int] = field(default_factory=list[int])
    """Numbers whose sending was acknowledged."""


def read_ledger(path: Path) -> dict[str, Entry]:
    """Read the file back, by instance."""
    entries: dict[str, Entry] = defaultdict(Entry)
    for text in path.read_text().splitlines():
        line = json.loads(text)
        entry = entries[line["instance"]]
        match line["what"]:
            case "start":
                entry.kind, entry.arguments = line["kind"], line["arguments"]
                entry.expected = line["expected"]
            case "started":
                entry.accepted = True
            case "send":
                entry.wished.append(line["number"])
            case "sent":
                entry.sent.append(line["number"])
            case other:
                raise ValueError(f"the ledger has a line {other!r}")
    return dict(entries)
