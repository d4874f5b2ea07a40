"""Values come back as what they were, or are refused where they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from perdure.errors import PayloadError
from perdure.model.codec import (
    PAYLOAD_BYTES_MAX,
    decode,
    decode_failure,
    decode_started,
    decode_update,
    encode,
    encode_failure,
    encode_started,
    encode_update,
)
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.records import (
    CarriedEvent,
    CarriedUpdate,
    KeyValue,
    ParentLink,
    StartedBody,
    UpdateBody,
)


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: float


class Row(TypedDict, total=False):
    key: str
    blob: bytes


class Model(BaseModel):
    name: str
    due: datetime | None = None


@dataclass
class Inner:
    blob: bytes
    amounts: list[Decimal] = field(default_factory=list)


@dataclass
class Outer[T]:
    inner: Inner
    value: T


ROUND_TRIPS: list[tuple[Any, Any]] = [
    (str, "füße \x00 \U0001f600"),
    (int, 2**80),
    (float, 1e300),
    (bool, True),
    (type(None), None),
    (bytes, bytes(range(256))),
    (datetime, datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)),
    (date, date(2026, 1, 2)),
    (timedelta, timedelta(days=3, microseconds=1)),
    (Decimal, Decimal("0.10")),
    (UUID, UUID(int=7)),
    (Colour, Colour.RED),
    (Point, Point(1, 0.5)),
    (Row, {"key": "k", "blob": b"\xff"}),
    (Model, Model(name="n", due=datetime(2026, 1, 1, tzinfo=UTC))),
    (Inner, Inner(b"\xff\x00", [Decimal("1.5")])),
    (Outer[int], Outer(Inner(b"\xfe"), 3)),
    (list[Inner], [Inner(b"\xff")]),
    (dict[str, Point], {"a": Point(1, 2)}),
    (tuple[int, str], (1, "a")),
    (set[int], {3, 1}),
    (int | str | None, "x"),
    (Literal["a", "b"], "b"),
    (Annotated[int, Field(gt=0)], 3),
    (Any, {"a": [1, None, True, "x"]}),
    (object, [1.5]),
]


@pytest.mark.parametrize(("as_type", "value"), ROUND_TRIPS, ids=range(len(ROUND_TRIPS)))
def test_round_trip(as_type: Any, value: Any) -> None:
    text = encode(value, as_type)
    found = decode(text, as_type)
    assert found == value
    assert type(found) is type(value)
    assert "\n" not in text


def test_without_a_type_the_values_own_decides() -> None:
    value = {"at": datetime(2026, 1, 1, tzinfo=UTC), "inner": Inner(b"\x00"), "p": Point(1, 2)}
    text = encode(value)
    assert text == '{"at":"2026-01-01T00:00:00Z","inner":{"blob":"AA==","amounts":[]},"p":[1,2]}'


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "as_type", "expected"),
    [
        (math.nan, float, "holds a NaN or an infinite number"),
        ([1.0, -math.inf], Any, "holds a NaN or an infinite number"),
        ("\ud800", str, "half of a surrogate pair"),
        ({"a": "\ud800"}, Any, "half of a surrogate pair"),
        (5, str, "is declared str, found int"),
        (["a"], list[int], r"is declared list\[int\], found list: Expected `int`"),
        (object(), Any, "of type object has no JSON form"),
        ("x" * PAYLOAD_BYTES_MAX, str, r"is 2,097,154 bytes of JSON; the limit is 2,097,152"),
        (1, type("Odd", (), {}), "values of type Odd have no JSON form"),
        pytest.param(
            10**4300, int, "an integer of more than 4,300 digits; send it as text", id="long"
        ),
        (["x" * 3000, 10**4300], Any, "an integer of more than 4,300 digits"),
        (_nested(181), Any, "nested deeper than 180 levels; flatten it"),
    ],
)
def test_what_cannot_be_encoded_is_refused(value: Any, as_type: Any, expected: str) -> None:
    with pytest.raises(PayloadError, match=f"^the value.*{expected}|{expected}"):
        encode(value, as_type, what="the value")


@pytest.mark.parametrize(
    "value",
    [_nested(180), 10**4299, "1" * 9000, [[n] for n in range(9000)]],
    ids=["deep", "long", "text", "wide"],
)
def test_what_is_barely_possible_comes_back_from_within_a_start(value: Any) -> None:
    parent = ParentLink(InstanceId("p"), 1, OperationId("0:1"))
    body = StartedBody("run", None, encode(value), parent=parent)
    assert decode(decode_started(encode_started(body)).input, object) == value


def test_text_that_looks_like_a_nan_is_text() -> None:
    assert decode(encode("NaN and Infinity"), str) == "NaN and Infinity"


@pytest.mark.parametrize(
    ("text", "as_type", "expected"),
    [
        ('"x"', int, r"the value does not read as int: .*\(found 'x'\)"),
        ('{"x":1}', Point, "the value does not read as Point: y: Field required"),
        ("{", object, "the value is not JSON"),
        ("{", int, "the value does not read as int: Invalid JSON"),
        (None, int, r"the value does not read as int: .*\(found None\)"),
    ],
)
def test_what_cannot_be_decoded_is_refused(text: Any, as_type: Any, expected: str) -> None:
    with pytest.raises(PayloadError, match=expected):
        decode(text, as_type, what="the value")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_json_comes_back(value: Any) -> None:
    text = encode(value)
    assert decode(text, object) == value
    assert encode(decode(text, object)) == text


FAILURES = st.recursive(
    st.builds(
        Failure,
        category=st.sampled_from(FailureCategory),
        type=TEXT.filter(lambda t: "\0" not in t),
        message=TEXT.filter(lambda t: "\0" not in t),
        retryable=st.booleans(),
        details=st.none() | JSON.map(encode),
        traceback=st.none() | TEXT.filter(lambda t: "\0" not in t),
    ),
    lambda inner: st.builds(
        Failure,
        category=st.sampled_from(FailureCategory),
        type=st.just("T"),
        message=st.just("m"),
        cause=inner,
    ),
    max_leaves=3,
)


@given(FAILURES)
def test_failures_come_back(failure: Failure) -> None:
    assert decode_failure(encode_failure(failure)) == failure


def test_a_failure_is_never_lost_for_its_text() -> None:
    failure = Failure(FailureCategory.APPLICATION, "E", "half \ud800 and \x00 nothing")
    assert decode_failure(encode_failure(failure)).message == "half ? and \ufffd nothing"


@given(
    st.builds(
        StartedBody,
        name=TEXT,
        version=st.none() | st.just("1.2.3"),
        input=JSON.map(encode),
        parent=st.none() | st.just(ParentLink(InstanceId("p"), 3, OperationId("0:1"))),
        carried=st.lists(
            st.builds(CarriedEvent, TEXT, st.none() | JSON.map(encode), st.booleans())
        ).map(tuple),
        custom_status=st.none() | JSON.map(encode),
        keys=st.lists(
            st.builds(KeyValue, TEXT, JSON.map(encode), st.just(datetime(2026, 1, 1, tzinfo=UTC)))
        ).map(tuple),
        updates=st.lists(
            st.builds(
                CarriedUpdate,
                TEXT,
                st.builds(UpdateBody, TEXT, JSON.map(encode)).map(encode_update),
            )
        ).map(tuple),
        timeout=st.none() | st.just(timedelta(hours=1)),
        deadline=st.none() | st.just(datetime(2026, 1, 1, tzinfo=UTC)),
        priority=st.integers(-100, 100),
        attributes=st.none() | JSON.map(encode),
    )
)
def test_starts_come_back(body: StartedBody) -> None:
    assert decode_started(encode_started(body)) == body


@given(st.builds(UpdateBody, TEXT, JSON.map(encode)))
def test_updates_come_back(body: UpdateBody) -> None:
    assert decode_update(encode_update(body)) == body


@pytest.mark.parametrize("text", ["[]", "{}", '{"name":1}', "null", "{"])
def test_damaged_bodies_are_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        decode_started(JsonText(text))
    with pytest.raises(PayloadError):
        decode_failure(JsonText(text))
    with pytest.raises(PayloadError):
        decode_update(JsonText(text))
