"""Instances as lines of JSON: what is written is read, and what is damaged is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.client.archives import read_archives, write_archive
from perdure.errors import PayloadError
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import KeyValue, Record, RecordKind
from perdure.providers.administering import Archive
from perdure.providers.reading import InstanceInfo, InstanceStatus
from perdure.providers.work import Block

AT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    records = [
        Record(
            seq,
            draw(st.integers(1, 3)),
            draw(st.sampled_from(RecordKind)),
            draw(st.none() | TEXT),
            draw(st.none() | TEXT.map(lambda text: JsonText(json.dumps(text)))),
            AT + timedelta(microseconds=draw(st.integers(0, 10**9))),
        )
        for seq in range(1, draw(st.integers(1, 6)))
    ]
    failure = Failure(FailureCategory.POISON, "Boom", draw(TEXT), cause=None)
    info = InstanceInfo(
        InstanceId(draw(st.text(st.characters(categories=["L"]), min_size=1, max_size=9))),
        draw(TEXT), "name", "1.0.0", 1, draw(st.sampled_from(InstanceStatus)), AT,
        draw(st.none() | st.just(AT)), None, draw(st.none() | st.just(JsonText("[1,2]"))),
        draw(st.none() | st.just(failure)), None, 0,
        draw(st.none() | st.just(Block("Poison", "x"))), len(records), False,
    )  # fmt: skip
    keys = tuple(KeyValue(draw(TEXT), JsonText('"v"'), AT) for _ in range(draw(st.integers(0, 2))))
    return Archive(info, tuple(records), keys)


@given(st.lists(archives(), max_size=3))
def test_what_is_written_is_read(written: list[Archive]) -> None:
    lines = [line for archive in written for line in write_archive(archive)]
    assert not any("\n" in line for line in lines)
    assert list(read_archives(lines)) == written


def lines_of_one() -> list[str]:
    info = InstanceInfo(
        InstanceId("a"), "", "n", None, 1, InstanceStatus.COMPLETED, AT, AT, None, None, None,
        None, 0, None, 2, False,
    )  # fmt: skip
    records = tuple(Record(seq, 1, RecordKind.TURN, None, None, AT) for seq in (1, 2))
    return list(write_archive(Archive(info, records)))


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["{"], "line 1 .*no JSON object"),
        (["7"], "line 1 .*no JSON object"),
        (['{"seq":1}'], "line 1 .*no JSON object with a type"),
        (['{"type":"record","seq":1}'], "line 1 .*'record'; a line of type 'instance' comes first"),
        (['{"type":"other"}'], "line 1 .*'other'"),
        (['{"type":"instance","format":2}'], "format 2; this release reads 1"),
        (['{"type":"instance","format":1}'], "line 1 of the archive: .*instance"),
        ([*lines_of_one(), '{"type":"record","seq":"x"}'], "line 4 of the archive: .*seq"),
        (lines_of_one()[:-1], "archive of 'a' is not whole"),
        ([*lines_of_one()[:-1], *lines_of_one()], "archive of 'a' is not whole"),
        ([*lines_of_one(), lines_of_one()[1]], "record 1 of 'a' stands after record 2"),
    ],
)
def test_what_is_damaged_is_named_by_its_line(lines: list[str], named: str) -> None:
    with pytest.raises(PayloadError, match=named):
        list(read_archives(lines))
