"""The body of a turn comes back as it was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import PayloadError
from perdure.model import actions as a
from perdure.model.codec import encode
from perdure.model.failure import Failure, FailureCategory
from perdure.model.ids import JsonText, OperationId
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.policy import Retry
from perdure.model.records import Ending, Outcome, ParentClose
from perdure.model.turns import TurnBody, decode_turn, encode_turn

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
OPERATIONS = st.builds(
    lambda path, n: OperationId(f"{'.'.join(map(str, path))}:{n}"),
    st.lists(st.integers(0, 30), min_size=1, max_size=3),
    st.integers(1, 9999),
)
DELTAS = st.timedeltas(timedelta(0), timedelta(days=4000))
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  zone added
INPUTS = st.dictionaries(TEXT, TEXT | st.integers() | st.none(), max_size=3).map(encode)
RETRIES = st.builds(
    Retry,
    max_attempts=st.integers(1, 99),
    initial=DELTAS,
    factor=st.floats(1, 10),
    longest=DELTAS,
    jitter=st.floats(0, 1),
    not_on=st.lists(TEXT, max_size=2).map(tuple),
    total=st.none() | st.just(timedelta(hours=1)),
    step=DELTAS,
)
ACTIVITY_OPTIONS = st.builds(
    ActivityOptions,
    session=st.none() | TEXT,
    priority=st.integers(-100, 100),
    limit=st.none() | TEXT,
    queue_timeout=st.none() | DELTAS,
    heartbeat_timeout=st.none() | DELTAS,
)
START_OPTIONS = st.builds(
    StartOptions,
    parent_close=st.sampled_from(ParentClose),
    priority=st.integers(-100, 100),
    limit=st.none() | TEXT,
    timeout=st.none() | DELTAS,
    attributes=st.none() | INPUTS,
)
FAILURES = st.just(Failure(FailureCategory.APPLICATION, "E", "m", details=JsonText("1")))
BY_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "operation": OPERATIONS,
    "name": TEXT,
    "input": INPUTS,
    "tag": TEXT,
    "retry": st.none() | RETRIES,
    "timeout": st.none() | DELTAS,
    "line": TEXT,
    "reason": TEXT,
    "delay": DELTAS,
    "fire_at": TIMES,
    "version": st.none() | st.just("1.0.0"),
    "instance": TEXT,
    "value": st.none() | INPUTS,
    "patch": TEXT,
    "deprecated": st.booleans(),
    "queue": TEXT,
    "key": TEXT,
    "values": INPUTS,
    "result": st.none() | INPUTS | st.just(JsonText("null")),
    "failure": st.none() | FAILURES,
    "update": TEXT,
    "call": TEXT,
    "message": TEXT,
}
BY_KIND: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {
    a.ScheduleActivity: {"options": st.none() | ACTIVITY_OPTIONS},
    a.StartChild: {"options": st.none() | START_OPTIONS},
    a.StartDetached: {"options": st.none() | START_OPTIONS},
    a.SetKey: {"value": INPUTS},
}
KINDS: tuple[type[Any], ...] = get_args(a.Action.__value__)
ACTIONS = st.one_of(
    *(
        st.builds(
            kind,
            **{
                name: (BY_FIELD | BY_KIND.get(kind, {}))[name] for name in kind.__dataclass_fields__
            },
        )
        for kind in KINDS
    )
)
ENDINGS = st.one_of(
    st.none(),
    st.builds(Ending, st.just(Outcome.COMPLETED), INPUTS),
    FAILURES.map(lambda failure: Ending(Outcome.FAILED, failure=failure)),
    st.just(Ending(Outcome.CONTINUED_AS_NEW)),
)


@given(
    st.builds(
        TurnBody,
        upto=st.integers(1, 10**9),
        now=TIMES,
        version=st.just("1.0.0"),
        python=st.just("3.13"),
        build=TEXT,
        actions=st.lists(ACTIONS, max_size=6).map(tuple),
        ending=ENDINGS,
        unread=st.lists(TEXT, max_size=2).map(tuple),
        unread_queued=st.lists(TEXT, max_size=2).map(tuple),
    )
)
def test_turns_come_back(body: TurnBody) -> None:
    text = encode_turn(body)
    assert decode_turn(text) == body
    respelled = JsonText(json.dumps(json.loads(text)))
    assert decode_turn(respelled) == body


def test_the_stored_form() -> None:
    """Written down, because histories outlive releases."""
    body = TurnBody(
        upto=1,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        version="1.0.0",
        python="3.13",
        build="",
        actions=(
            a.ScheduleActivity(
                OperationId("0:1"), "hello", JsonText('{"name":"bob"}'), "", None, None, "x.py:3"
            ),
        ),
    )
    assert encode_turn(body) == (
        '{"upto":1,"now":"2026-01-01T00:00:00+00:00","python":"3.13","version":"1.0.0",'
        '"actions":[{"do":"activity","op":"0:1","name":"hello","input":{"name":"bob"},'
        '"line":"x.py:3"}]}'
    )


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"upto":1,"now":"2026-01-01","version":"1","actions":[{"do":"new"}]}'],
)
def test_damaged_turns_are_refused(text: str) -> None:
    with pytest.raises(PayloadError, match="damaged, or of a later release"):
        decode_turn(JsonText(text))
