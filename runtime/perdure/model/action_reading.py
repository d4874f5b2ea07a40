"""Actions from JSON: the reading half of `perdure.model.turns`.

Every reader takes the decoded object; what is missing or of the wrong type raises one of the
errors that `perdure.model.turns.decode_turn` turns into its own.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perdure.model.actions import (
    Action,
    AnswerUpdate,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CancelWait,
    ClearKey,
    ClearKeys,
    ContinueAsNew,
    CreateTimer,
    DequeueEvent,
    MarkPatch,
    ReadKey,
    RecordStep,
    RefuseCall,
    ScheduleActivity,
    SetAttributes,
    SetCustomStatus,
    SetKey,
    StartChild,
    StartDetached,
    TerminateChild,
    WaitEvent,
    WaitNext,
)
from perdure.model.codec import failure_of, raw_json
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.options import ActivityOptions, StartOptions
from perdure.model.policy import Retry
from perdure.model.records import ParentClose

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure.model.failure import Failure

__all__ = ["read_action"]

type _Item = dict[str, Any]


def read_action(item: _Item) -> Action:
    """Read one action.

    Raises:
        KeyError: something is missing, or it is an action of a later release.
        ValueError: something cannot be.
        TypeError: something is of another type.
    """
    return _READERS[item["do"]](item)


def _op(item: _Item) -> OperationId:
    return OperationId(item["op"])


def _raw(item: _Item, field: str) -> JsonText | None:
    return raw_json(item[field]) if field in item else None


def _failure(item: _Item) -> Failure | None:
    return failure_of(item["failure"]) if "failure" in item else None


def _span(item: _Item, field: str) -> timedelta | None:
    return timedelta(seconds=item[field]) if field in item else None


def _activity(item: _Item) -> ScheduleActivity:
    retry, options = item.get("retry"), item.get("options")
    return ScheduleActivity(
        _op(item),
        item["name"],
        raw_json(item["input"]),
        item.get("tag", ""),
        None if retry is None else _retry(retry),
        _span(item, "timeout"),
        item["line"],
        None if options is None else _activity_options(options),
    )


def _retry(item: _Item) -> Retry:
    return Retry(
        item["max_attempts"],
        timedelta(seconds=item["initial"]),
        item["factor"],
        timedelta(seconds=item["longest"]),
        item["jitter"],
        tuple(item["not_on"]),
        _span(item, "total"),
        _span(item, "step") or timedelta(0),
    )


def _activity_options(item: _Item) -> ActivityOptions:
    return ActivityOptions(
        item.get("session"),
        item.get("priority", 0),
        item.get("limit"),
        _span(item, "queue_timeout"),
        _span(item, "heartbeat_timeout"),
    )


def _timer(item: _Item) -> CreateTimer:
    delay, fire_at = timedelta(seconds=item["delay"]), datetime.fromisoformat(item["fire_at"])
    return CreateTimer(_op(item), delay, fire_at, item["line"])


def _start[S: (StartChild, StartDetached)](kind: type[S], item: _Item) -> S:
    options = item.get("options")
    return kind(
        _op(item),
        item["name"],
        item.get("version"),
        InstanceId(item["instance"]),
        raw_json(item["input"]),
        item["line"],
        None if options is None else _start_options(options),
    )


def _start_options(item: _Item) -> StartOptions:
    return StartOptions(
        ParentClose(item.get("parent_close", ParentClose.CANCEL)),
        item.get("priority", 0),
        item.get("limit"),
        _span(item, "timeout"),
        _raw(item, "attributes"),
    )


def _about_child[S: (CancelChild, TerminateChild)](kind: type[S], item: _Item) -> S:
    return kind(_op(item), InstanceId(item["instance"]), item["reason"])


def _read_key(item: _Item) -> ReadKey:
    return ReadKey(_op(item), InstanceId(item["instance"]), item["key"], item["line"])


def _step(item: _Item) -> RecordStep:
    result, failure = _raw(item, "result"), _failure(item)
    return RecordStep(_op(item), item["name"], result, failure, item["line"])


_READERS: dict[str, Callable[[_Item], Action]] = {
    "activity": _activity,
    "cancel_activity": lambda i: CancelActivity(_op(i), i["reason"]),
    "timer": _timer,
    "cancel_timer": lambda i: CancelTimer(_op(i)),
    "child": lambda i: _start(StartChild, i),
    "cancel_child": lambda i: _about_child(CancelChild, i),
    "terminate_child": lambda i: _about_child(TerminateChild, i),
    "detached": lambda i: _start(StartDetached, i),
    "wait": lambda i: WaitEvent(_op(i), i["name"], i["line"]),
    "wait_next": lambda i: WaitNext(_op(i), i["name"], i["line"]),
    "dequeue": lambda i: DequeueEvent(_op(i), i["name"], i["line"]),
    "cancel_wait": lambda i: CancelWait(_op(i)),
    "status": lambda i: SetCustomStatus(_op(i), _raw(i, "value"), i.get("line", "")),
    "attributes": lambda i: SetAttributes(_op(i), raw_json(i["values"]), i["line"]),
    "set_key": lambda i: SetKey(_op(i), i["key"], raw_json(i["value"]), i["line"]),
    "clear_key": lambda i: ClearKey(_op(i), i["key"], i["line"]),
    "clear_keys": lambda i: ClearKeys(_op(i), i["line"]),
    "read_key": _read_key,
    "step": _step,
    "answer": lambda i: AnswerUpdate(i["update"], _raw(i, "result"), _failure(i)),
    "refuse": lambda i: RefuseCall(_op(i), i["call"], i["message"], i["line"]),
    "patch": lambda i: MarkPatch(i["patch"], i.get("deprecated", False), i["line"]),
    "continue": lambda i: ContinueAsNew(i["name"], i.get("version"), raw_json(i["input"])),
}
