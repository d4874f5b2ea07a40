"""Log lines that a machine can read, and a person too.

Whoever logs passes what a line is about as `extra={...}`, by the names of `FIELDS`; nothing else of
a record gets out. So inputs, results and the text of users' exceptions, which may hold anything,
stay in the history, where reading them is a matter of permission.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TextIO

__all__ = ["FIELDS", "JsonFormatter", "TextFormatter", "configure_logging"]

FIELDS = (
    "instance_id",
    "execution_id",
    "orchestration_name",
    "orchestration_version",
    "activity_name",
    "activity_id",
    "activity_tag",
    "attempt",
    "outcome",
    "error",
)
"""What a line may say besides its message; ids belong here, not into labels of metrics."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, executor, and the fields given."""

    def __init__(self, executor: str = "") -> None:
        super().__init__()
        self._executor = executor

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if self._executor:
            line["executor"] = self._executor
        line.update(_fields(record))
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """One line for the eye: time, level, message, fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record."""
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{clock} {record.levelname:<7} {record.getMessage()}{fields}"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    known = record.__dict__
    return {name: known[name] for name in FIELDS if known.get(name) is not None}


def configure_logging(
    *, level: str = "info", style: str = "json", executor: str = "", stream: TextIO | None = None
) -> None:
    """Send the logs of this process to `stream` (standard error), replacing what was set before.

    `style` is `json` or `text`; `executor` is put on each JSON line.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(executor) if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
