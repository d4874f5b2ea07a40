"""Instances as lines of JSON: a header for each, then its keys and records.

One record a line, so that a history of any length is written and read piece by piece, and two of
them can be compared by the usual tools::

    {"type":"instance","format":1,"instance":"order-7",…,"holds":{"keys":1,"records":9}}
    {"type":"key","key":"receipt","value":"{…}","updated_at":"…"}
    {"type":"record","seq":1,"execution":1,"kind":1,"ref":null,"body":"{…}","at":"…"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from perdure.errors import PayloadError
from perdure.model.codec import first_problem
from perdure.model.records import KeyValue, Record
from perdure.providers.administering import Archive
from perdure.providers.reading import InstanceInfo

__all__ = ["read_archives", "write_archive"]

FORMAT = 1

_INFO = TypeAdapter(InstanceInfo)
_KEY = TypeAdapter(KeyValue)
_RECORD = TypeAdapter(Record)


def write_archive(archive: Archive) -> Iterator[str]:
    """Yield the lines of one instance."""
    info: dict[str, object] = _INFO.dump_python(archive.info, mode="json")
    counts = {"keys": len(archive.keys), "records": len(archive.records)}
    yield _line({"type": "instance", "format": FORMAT} | info | {"holds": counts})
    for key in archive.keys:
        yield _line({"type": "key"} | _KEY.dump_python(key, mode="json"))
    for record in archive.records:
        yield _line({"type": "record"} | _RECORD.dump_python(record, mode="json"))


def _line(fields: dict[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read_archives(lines: Iterable[str]) -> Iterator[Archive]:
    """Yield the instances of such lines, each once its last line is read.

    Raises:
        PayloadError: a line is damaged, of a later release, missing, or stands where it may not.
    """
    info: InstanceInfo | None = None
    holds: object = None
    keys: list[KeyValue] = []
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            match _kind(number, line):
                case "instance":
                    if info is not None:
                        yield _whole(Archive(info, tuple(records), tuple(keys)), holds)
                        keys, records = [], []
                    info = _INFO.validate_json(line)
                    holds = from_json(line).get("holds")
                case "key" if info is not None:
                    keys.append(_KEY.validate_json(line))
                case "record" if info is not None:
                    record = _RECORD.validate_json(line)
                    _check_order(number, info, records, record)
                    records.append(record)
                case kind:
                    raise PayloadError(
                        f"line {number} of the archive is of type {kind!r}; a line of type "
                        "'instance' comes first, then those of type 'key' and 'record'"
                    )
        except ValidationError as error:
            raise PayloadError(f"line {number} of the archive: {first_problem(error)}") from error
    if info is not None:
        yield _whole(Archive(info, tuple(records), tuple(keys)), holds)


def _whole(archive: Archive, holds: object) -> Archive:
    """Refuse what lost lines on its way: a shorter history is another history."""
    found = {"keys": len(archive.keys), "records": len(archive.records)}
    if holds not in (None, found):
        raise PayloadError(
            f"the archive of {archive.info.instance!r} is not whole: its first line tells of "
            f"{holds}, and there are {found}; export it again"
        )
    return archive


def _kind(number: int, line: str) -> str:
    try:
        fields = from_json(line)
        kind, written = fields["type"], fields.get("format", FORMAT)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PayloadError(
            f"line {number} of the archive is no JSON object with a type: {line[:60]!r}"
        ) from error
    if written != FORMAT:
        raise PayloadError(
            f"line {number} of the archive is of format {written}; this release reads {FORMAT}"
        )
    return str(kind)


def _check_order(number: int, info: InstanceInfo, before: list[Record], record: Record) -> None:
    last = before[-1].seq if before else 0
    if record.seq <= last:
        raise PayloadError(
            f"line {number} of the archive: record {record.seq} of {info.instance!r} stands after "
            f"record {last}; they must be in order, each once"
        )
