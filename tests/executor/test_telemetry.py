"""Metrics and logs: what the table says is what is exposed, and nothing private gets out."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path

from perdure.telemetry import TABLE, JsonFormatter, Metrics, TextFormatter, configure_logging

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_documented_table_is_the_table() -> None:
    rows = re.findall(
        r"^\| `(perdure_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", DOCS.read_text(), re.MULTILINE
    )
    documented = [(name, kind, labels.strip(), text.strip()) for name, kind, labels, text in rows]
    expected = [
        (spec.name, spec.kind.value, ", ".join(f"`{label}`" for label in spec.labels), spec.help)
        for spec in TABLE
    ]
    assert documented == expected


def test_no_label_holds_an_id() -> None:
    labels = {label for spec in TABLE for label in spec.labels}
    assert labels == {
        *("role", "build", "verb", "outcome", "kind", "orchestration", "found"),
        *("activity", "tag"),
    }


def test_every_metric_can_be_recorded_and_is_exposed() -> None:
    metrics = Metrics()
    for spec in TABLE:
        labels = ["x"] * len(spec.labels)
        match spec.kind.value:
            case "counter":
                metrics.count(spec.name, *labels)
            case "gauge":
                metrics.set(spec.name, 1, *labels)
            case _:
                metrics.observe(spec.name, 0.5, *labels)
    text = metrics.exposition().decode()
    for spec in TABLE:
        assert f"# TYPE {spec.name}" in text


def _log(formatter: logging.Formatter) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("perdure.test")
    logger.propagate = False
    logger.addHandler(handler)
    logger.warning(
        "an attempt failed",
        extra={"instance_id": "order-1", "activity_name": "charge", "payload": "4111-1111"},
    )
    return stream.getvalue()


def test_json_lines_have_known_fields_alone() -> None:
    line = json.loads(_log(JsonFormatter("pod-1")))
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "perdure.test",
        "message": "an attempt failed",
        "executor": "pod-1",
        "instance_id": "order-1",
        "activity_name": "charge",
    }


def test_text_lines_show_the_fields() -> None:
    line = _log(TextFormatter())
    assert line.rstrip().endswith("an attempt failed instance_id=order-1 activity_name=charge")
    assert "4111" not in line


def test_configuring_replaces_what_was_there() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        configure_logging(level="warning", style="json", executor="pod-1", stream=stream)
        logging.getLogger("perdure.x").info("not shown")
        logging.getLogger("perdure.x").warning("shown")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "shown"
