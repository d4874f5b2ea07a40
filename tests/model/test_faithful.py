"""A value comes back as what it was, or is refused where it is made."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, Union
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    computed_field,
    field_validator,
)

from perdure import activity
from perdure.errors import PayloadError
from perdure.model.codec import decode, encode


class Colour(Enum):
    RED = "red"
    PAIR = (1, 2)


class Size(IntEnum):
    SMALL = 1


class Word(StrEnum):
    YES = "yes"


class Access(Flag):
    READ = 1
    WRITE = 2


class Price(BaseModel):
    amount: float
    before: float | None = None


class Named(BaseModel):
    first_name: str = Field(alias="firstName")
    last_name: str = Field(default="", validation_alias="lastName")
    nick: str = Field(default="", serialization_alias="nickName")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: list[Price]

    @computed_field  # type: ignore[prop-decorator]  # as pydantic says
    @property
    def count(self) -> int:
        return len(self.items)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Page[T](BaseModel):
    items: list[T]


class Account(BaseModel):
    name: str
    password: SecretStr


class Cached(BaseModel):
    key: str
    shown: str = Field(default="", exclude=True)
    _hits: int = PrivateAttr(default=0)


class Growing(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def grow(cls, text: str) -> str:
        return text + "!"


@dataclass
class Line:
    sku: str
    price: float
    tags: frozenset[str] = frozenset()


@dataclass
class Gift(Line):
    note: str = ""


@dataclass
class Item:
    sku: str
    price: float


@dataclass
class Twin:
    sku: str
    price: float


@dataclass(frozen=True, slots=True)
class Basket[T]:
    lines: list[Line]
    value: T
    made: datetime = field(default=datetime(2026, 1, 1, tzinfo=UTC), compare=False)


@dataclass(eq=False)
class Plain:
    inner: Line


@dataclass
class Counted:
    start: int
    count: int = field(init=False, default=0)


class Point(NamedTuple):
    x: int
    line: Line | None = None


class Row(TypedDict, total=False):
    at: date
    price: Price


class Node(BaseModel):
    name: str
    children: list[Node] = []


COMES_BACK: list[tuple[Any, Any]] = [
    (Price, Price(amount=1.5)),
    (Named, Named.model_validate({"firstName": "a", "lastName": "b", "nick": "c"})),
    (list[Named], [Named.model_validate({"firstName": "a"})]),
    (Open, Open(a=1, b=[1, "x"])),  # type: ignore[call-arg]  # more is allowed
    (Page[Price], Page[Price](items=[Price(amount=1.0)])),
    (Page[Price], Page(items=[Price(amount=1.0)])),
    (Cached, Cached(key="k")),
    (Line, Line("a", 1.0, frozenset({"x", "y"}))),
    (Basket[int], Basket([Line("a", 1.0)], 3)),
    (Basket[Basket[Price]], Basket([], Basket([], Price(amount=2.0)))),
    (Plain, Plain(Line("a", 1.0))),
    (Counted, Counted(3)),
    (Point, Point(1, Line("a", 2.0))),
    (Row, {"at": date(2026, 1, 1), "price": Price(amount=1.0)}),
    (Node, Node(name="a", children=[Node(name="b", children=[Node(name="c")])])),
    (Colour, Colour.RED),
    (Access, Access.READ | Access.WRITE),
    (Line | Price | None, Price(amount=1.0)),
    (int | float | str | bool | None, True),
    (int | float | str | bool | None, 1.0),
    (date | datetime, datetime(2026, 1, 1)),  # noqa: DTZ001  without a zone
    (date | datetime, date(2026, 1, 1)),
    (UUID | int, UUID(int=7)),
    (dict[UUID, Line], {UUID(int=7): Line("a", 1.0)}),
    (dict[Size, date], {Size.SMALL: date(2026, 1, 1)}),
    (deque[Line], deque([Line("a", 1.0)])),
    (time, time(1, 2, 3, 4, tzinfo=UTC)),
    (timedelta, timedelta.max),
    (timedelta, -timedelta(microseconds=1)),
    (datetime, datetime.max.replace(tzinfo=UTC)),
    (Decimal, Decimal("1E+30")),
    (Annotated[int, Field(gt=0)], 1),
]


def shown(value: Any) -> str:
    """Show all of a value; UTC has two names, and a generic model too."""
    text = re.sub(r"TzInfo\((0|UTC)\)", "datetime.timezone.utc", repr(value))
    text = text.replace("<Size.SMALL: 1>", "1")  # in a union with int
    return re.sub(r"Page\[.*?\]\(", "Page(", text)


@pytest.mark.parametrize(("as_type", "value"), COMES_BACK, ids=range(len(COMES_BACK)))
def test_what_comes_back(as_type: Any, value: Any) -> None:
    found = decode(encode(value, as_type), as_type)
    assert shown(found) == shown(value)


REFUSED: list[tuple[Any, Any, str]] = [
    (Price, Price(amount=math.nan), "holds a NaN or an infinite number, which JSON cannot carry"),
    (Price, Price(amount=1.0, before=math.inf), "holds a NaN or an infinite number"),
    (list[Price], [Price(amount=math.nan)], "holds a NaN or an infinite number"),
    (Basket[Price], Basket([], Price(amount=math.nan)), "holds a NaN or an infinite number"),
    (Any, Price(amount=math.nan), "holds a NaN or an infinite number"),
    (dict[str, Any], {"a": [Price(amount=math.nan)]}, "holds a NaN or an infinite number"),
    (object, Price(amount=math.nan), "holds a NaN or an infinite number"),
    (int, None, r"could not be read back: .* \(found None\)"),
    (str | bool, None, "could not be read back"),
    (list[int], [1, None], "could not be read back: 1: .* integer"),
    (dict[str, float], {"a": None}, "could not be read back: a: .* number"),
    (tuple[int, bytes], (1, None), "could not be read back: 1: .* bytes"),
    (Decimal, Decimal("NaN"), "could not be read back: Input should be a finite number"),
    (Line, Gift("a", 1.0, note="n"), r"it is Gift\(.* would read as Line\("),
    (list[Line], [Line("a", 1.0), Gift("b", 2.0)], r"as it was: \[1\] is Gift"),
    (Basket[int], Basket([Gift("a", 1.0)], 3), r"as it was: \.lines\[0\] is Gift"),
    (Item | Twin, Twin("a", 1.0), r"it is Twin\(.* would read as Item\("),
    (str | date, date(2026, 1, 1), r"would read as '2026-01-01' \(str\)"),
    (str | bytes, b"a", "would read as 'YQ=='"),
    (list[int] | set[int], {1}, r"would read as \[1\]"),
    (list[int] | tuple[int, ...], (1, 2), r"it is \(1, 2\) \(tuple\) and would read as \[1, 2\]"),
    (Colour, Colour.PAIR, "could not be read back"),
    (dict[tuple[int, int], str], {(1, 2): "x"}, "could not be read back"),
    (Account, Account(name="a", password=SecretStr("s")), r"as it was: \.password is SecretStr"),
    (Strict, Strict(items=[]), "could not be read back: .*count: Extra inputs"),
    (Growing, Growing(text="a"), r"as it was: \.text is 'a!'.* would read as 'a!!'"),
    (Annotated[int, Field(gt=0)], -1, "could not be read back: Input should be greater than 0"),
    (Price, Price.model_construct(amount="much"), "declared Price|could not be read back"),
    (
        datetime,
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=3208))),
        "would not come back as it was",
    ),
    (Literal[Colour.RED], Colour.RED, "could not be read back"),
]


@pytest.mark.parametrize(("as_type", "value", "told"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(as_type: Any, value: Any, told: str) -> None:
    with pytest.raises(PayloadError, match=f"^the value .*({told})"):
        encode(value, as_type, what="the value")


@pytest.mark.parametrize(
    ("as_type", "value", "expected"),
    [
        (float, 5, 5.0),
        (Price, Price.model_construct(amount=5.0, before=None), Price(amount=5.0)),
        (Line, Line("a", 5.0), Line("a", 5.0)),
        (Sequence[int], (1, 2), [1, 2]),
        (Sequence[Line], (Line("a", 1.0),), [Line("a", 1.0)]),
        (Mapping[str, Line], {"a": Line("a", 1.0)}, {"a": Line("a", 1.0)}),
        (str, Word.YES, "yes"),
        (Item, Item(Word.YES, 1), Item("yes", 1)),
        (Cached, Cached(key="k", shown="s"), Cached(key="k")),
        (Any, (1, date(2026, 1, 1)), [1, "2026-01-01"]),
        (dict[str, Any], {"a": Line("a", 1.0)}, {"a": {"sku": "a", "price": 1.0, "tags": []}}),
        (Basket[Any], Basket([], Point(1)), Basket([], [1, None])),
    ],
)
def test_what_may_differ(as_type: Any, value: Any, expected: Any) -> None:
    assert decode(encode(value, as_type), as_type) == expected


_SETS = """
from dataclasses import dataclass
from uuid import UUID
from pydantic import BaseModel
from perdure import activity
from perdure.model.codec import encode

class Model(BaseModel):
    words: frozenset[str]

@dataclass
class Box:
    words: set[str]
    deep: dict[str, list[tuple[int, set[bytes | None]]]]

@activity
def work(words: set[str], boxes: list[Box], models: dict[str, Model], ids: set[UUID]) -> None: ...

words = {f"word {n}" for n in range(30)}
box = Box(set(words), {"a": [(1, {word.encode() for word in words} | {None})]})
ids = {UUID(int=9), UUID(int=2)}
print(work.encode_arguments(words, [box, box], {"m": Model(words=words)}, ids))
print(encode(words | {"x"}, set[str] | None))
print(encode({frozenset("abc"), frozenset()}, set[frozenset[str]]))
"""


def test_sets_are_written_the_same_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", _SETS],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in range(1, 4)
    }
    assert len(found) == 1, found


def test_an_argument_that_would_not_come_back_is_named() -> None:
    @activity
    def weigh(name: str, price: Price, lines: list[Line]) -> Price | None: ...

    with pytest.raises(PayloadError, match=r"^argument 'price' of activity 'weigh' holds a NaN"):
        weigh.encode_arguments("a", Price(amount=math.nan), [])
    with pytest.raises(
        PayloadError, match=r"^argument 'lines' of activity 'weigh' would not .*: \[0\] is Gift"
    ):
        weigh.encode_arguments("a", Price(amount=1.0), [Gift("a", 1.0)])
    with pytest.raises(PayloadError, match=r"^the result of activity 'weigh' holds a NaN"):
        weigh.encode_result(Price(amount=math.inf))


# -------------------------------------------------------------------------- properties

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
type Typed = tuple[Any, st.SearchStrategy[Any]]
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LINES = st.builds(Line, TEXT, FLOATS, st.frozensets(TEXT, max_size=1))
LEAVES: list[Typed] = [
    (str, TEXT),
    (int, st.integers()),
    (bool, st.booleans()),
    (float, FLOATS),
    (bytes, st.binary(max_size=8)),
    (type(None), st.none()),
    # ISO 8601 does not say which of two like hours is meant, where a clock is put back.
    (datetime, st.datetimes(timezones=st.none() | st.just(UTC)).map(lambda t: t.replace(fold=0))),
    (date, st.dates()),
    (time, st.times().map(lambda t: t.replace(fold=0))),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (UUID, st.uuids()),
    (Colour, st.just(Colour.RED)),
    (Size, st.just(Size.SMALL)),
    (Line, LINES),
    (Point, st.builds(Point, st.integers(), st.none() | LINES)),
    (Price, st.builds(Price, amount=FLOATS, before=st.none() | FLOATS)),
    (Row, st.fixed_dictionaries({}, optional={"at": st.dates()})),
    (Literal["a", 1], st.sampled_from(["a", 1])),
]
KEYS: list[Typed] = [(str, TEXT), (int, st.integers()), (UUID, st.uuids()), (date, st.dates())]


def of(generic: Any, *parts: Any) -> Any:
    """Give a generic type its parameters."""
    return generic[parts if len(parts) > 1 else parts[0]]


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> Typed:
    """Draw a type, with what draws its values."""
    shape = draw(st.sampled_from(["leaf", "list", "tuple", "dict", "or", "basket", "page"]))
    if depth == 0 or shape == "leaf":
        return draw(st.sampled_from(LEAVES))
    one, values = draw(typed(depth - 1))
    other, others = draw(typed(depth - 1))
    key, keys = draw(st.sampled_from(KEYS))
    page = of(Page, one)
    shapes: dict[str, Typed] = {
        "list": (of(list, one), st.lists(values, max_size=3)),
        "tuple": (of(tuple, one, other), st.tuples(values, others)),
        "dict": (of(dict, key, one), st.dictionaries(keys, values, max_size=3)),
        "or": (of(Union, one, other, None), st.none() | values | others),
        "basket": (of(Basket, one), st.builds(Basket, st.lists(LINES, max_size=2), values)),
        "page": (page, st.lists(values, max_size=2).map(lambda items: page(items=items))),
    }
    return shapes[shape]


@given(st.data())
def test_whatever_is_not_refused_comes_back(data: st.DataObject) -> None:
    as_type, values = data.draw(typed())
    value = data.draw(values)
    try:
        text = encode(value, as_type)
    except PayloadError:
        return  # a union of alike types
    found = decode(text, as_type)
    assert shown(found) == shown(value)
    assert found == value
    assert encode(found, as_type) == text


@given(st.data())
def test_what_is_no_union_is_never_refused(data: st.DataObject) -> None:
    as_type, values = data.draw(st.sampled_from(LEAVES))
    value = data.draw(values)
    assert decode(encode(value, as_type), as_type) == value
    assert decode(encode([value], of(list, as_type)), of(list, as_type)) == [value]
