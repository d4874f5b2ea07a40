"""The body of a `TURN` record: everything that one turn decided.

This is written once per turn, on the path that bounds throughput, and read only when a history
is replayed cold. So writing joins strings, with arguments put in as the JSON they already are,
and reading pays for both. The form, with what is at its default left out::

    {"upto":7, "now":"2026-…+00:00", "python":"3.13", "version":"1.0.0", "build":"…",
     "actions":[{"do":"activity","op":"0:1","name":"charge","input":{…},"line":"a/b.py:12"}, …],
     "ending":{"outcome":"Completed","output":…}, "unread":["approved"]}

A reader refuses a kind of action that it does not know.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from perdure.errors import PayloadError
from perdure.model.actions import (
    Action,
    CancelActivity,
    CancelChild,
    CancelTimer,
    CancelWait,
    ContinueAsNew,
    CreateTimer,
    MarkPatch,
    ScheduleActivity,
    SetCustomStatus,
    StartChild,
    StartDetached,
    WaitEvent,
)
from perdure.model.codec import encode_failure, failure_of, json_string, raw_json
from perdure.model.ids import InstanceId, JsonText, OperationId
from perdure.model.policy import Retry
from perdure.model.records import Ending, Outcome
from perdure.model.values import value

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TurnBody", "decode_turn", "encode_turn"]


@value(frozen=True, slots=True)
class TurnBody:
    """One turn: what it consumed, when it was, and what it decided."""

    upto: int
    """It consumed the messages up to this sequence number."""
    now: datetime
    """The time that the code saw, in UTC."""
    version: str
    """Of the orchestration that ran."""
    python: str
    """Minor version of the interpreter, such as `3.13`: to explain a disagreement."""
    build: str
    """Of the code, as the replayer was told; may be empty."""
    actions: tuple[Action, ...]
    ending: Ending | None = None
    unread: tuple[str, ...] = ()
    """With an ending other than continue-as-new: names of events that nobody read, in order."""


_quoted: Callable[[str], str] = lru_cache(maxsize=4096)(json_string)
"""Names, tags and source lines: few, and met over and over."""


@lru_cache(maxsize=64)
def _moment(at: datetime) -> str:
    """Write a time; all turns of one fetch share theirs."""
    return at.isoformat()


# ------------------------------------------------------------------------- writing


def encode_turn(body: TurnBody) -> JsonText:
    """Encode the body of a `TURN` record."""
    head = f'{{"upto":{body.upto},"now":"{_moment(body.now)}","python":"{body.python}"'
    parts = [f'{head},"version":{_quoted(body.version)}']
    if body.build:
        parts.append(f',"build":{_quoted(body.build)}')
    if body.actions:
        actions = ",".join([_WRITERS[type(action)](action) for action in body.actions])
        parts.append(f',"actions":[{actions}]')
    if body.ending is not None:
        parts.append(f',"ending":{_encode_ending(body.ending)}')
    if body.unread:
        parts.append(f',"unread":[{",".join(map(json_string, body.unread))}]')
    parts.append("}")
    return JsonText("".join(parts))


def _encode_ending(ending: Ending) -> str:
    output = "" if ending.output is None else f',"output":{ending.output}'
    failure = "" if ending.failure is None else f',"failure":{encode_failure(ending.failure)}'
    return f'{{"outcome":"{ending.outcome}"{output}{failure}}}'


def _activity(action: ScheduleActivity) -> str:
    tag = f',"tag":{_quoted(action.tag)}' if action.tag else ""
    retry = "" if action.retry is None else f',"retry":{_encode_retry(action.retry)}'
    timeout = "" if action.timeout is None else f',"timeout":{action.timeout.total_seconds()!r}'
    return (
        f'{{"do":"activity","op":"{action.operation}","name":{_quoted(action.name)}'
        f',"input":{action.input}{tag}{retry}{timeout},"line":{_quoted(action.line)}}}'
    )


@lru_cache(maxsize=256)
def _encode_retry(retry: Retry) -> str:
    return (
        f'{{"max_attempts":{retry.max_attempts},"initial":{retry.initial.total_seconds()!r}'
        f',"factor":{retry.factor!r},"longest":{retry.longest.total_seconds()!r}'
        f',"jitter":{retry.jitter!r},"not_on":[{",".join(map(json_string, retry.not_on))}]}}'
    )


def _timer(action: CreateTimer) -> str:
    return (
        f'{{"do":"timer","op":"{action.operation}","delay":{action.delay.total_seconds()!r}'
        f',"fire_at":"{action.fire_at.isoformat()}","line":{_quoted(action.line)}}}'
    )


def _start(kind: str, action: StartChild | StartDetached) -> str:
    version = "" if action.version is None else f',"version":{_quoted(action.version)}'
    return (
        f'{{"do":"{kind}","op":"{action.operation}","name":{_quoted(action.name)}{version}'
        f',"instance":{json_string(action.instance)},"input":{action.input}'
        f',"line":{_quoted(action.line)}}}'
    )


def _status(action: SetCustomStatus) -> str:
    value = "" if action.value is None else f',"value":{action.value}'
    return f'{{"do":"status","op":"{action.operation}"{value}}}'


def _patch(action: MarkPatch) -> str:
    deprecated = ',"deprecated":true' if action.deprecated else ""
    return (
        f'{{"do":"patch","patch":{_quoted(action.patch)}{deprecated}'
        f',"line":{_quoted(action.line)}}}'
    )


def _continue(action: ContinueAsNew) -> str:
    version = "" if action.version is None else f',"version":{_quoted(action.version)}'
    return f'{{"do":"continue","name":{_quoted(action.name)}{version},"input":{action.input}}}'


_WRITERS: dict[type[Any], Callable[[Any], str]] = {
    ScheduleActivity: _activity,
    CancelActivity: lambda a: (
        f'{{"do":"cancel_activity","op":"{a.operation}","reason":{json_string(a.reason)}}}'
    ),
    CreateTimer: _timer,
    CancelTimer: lambda a: f'{{"do":"cancel_timer","op":"{a.operation}"}}',
    StartChild: lambda a: _start("child", a),
    CancelChild: lambda a: (
        f'{{"do":"cancel_child","op":"{a.operation}","instance":{json_string(a.instance)}'
        f',"reason":{json_string(a.reason)}}}'
    ),
    StartDetached: lambda a: _start("detached", a),
    WaitEvent: lambda a: (
        f'{{"do":"wait","op":"{a.operation}","name":{_quoted(a.name)},"line":{_quoted(a.line)}}}'
    ),
    CancelWait: lambda a: f'{{"do":"cancel_wait","op":"{a.operation}"}}',
    SetCustomStatus: _status,
    MarkPatch: _patch,
    ContinueAsNew: _continue,
}


# ------------------------------------------------------------------------- reading


def decode_turn(text: JsonText) -> TurnBody:
    """Decode what `encode_turn` wrote.

    Raises:
        PayloadError: it is damaged, or holds an action of a later release.
    """
    try:
        data: dict[str, Any] = from_json(text)
        ending = data.get("ending")
        return TurnBody(
            upto=data["upto"],
            now=datetime.fromisoformat(data["now"]),
            version=data["version"],
            python=data.get("python", ""),
            build=data.get("build", ""),
            actions=tuple([_READERS[item["do"]](item) for item in data.get("actions", ())]),
            ending=None if ending is None else _read_ending(ending),
            unread=tuple(data.get("unread", ())),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        msg = f"a stored turn cannot be read: {error!r}; it is damaged, or of a later release"
        raise PayloadError(msg) from error


def _read_ending(data: dict[str, Any]) -> Ending:
    return Ending(
        Outcome(data["outcome"]),
        raw_json(data["output"]) if "output" in data else None,
        failure_of(data["failure"]) if "failure" in data else None,
    )


def _read_activity(item: dict[str, Any]) -> ScheduleActivity:
    retry, timeout = item.get("retry"), item.get("timeout")
    return ScheduleActivity(
        OperationId(item["op"]),
        item["name"],
        raw_json(item["input"]),
        item.get("tag", ""),
        None if retry is None else _read_retry(retry),
        None if timeout is None else timedelta(seconds=timeout),
        item["line"],
    )


def _read_retry(data: dict[str, Any]) -> Retry:
    return Retry(
        data["max_attempts"],
        timedelta(seconds=data["initial"]),
        data["factor"],
        timedelta(seconds=data["longest"]),
        data["jitter"],
        tuple(data["not_on"]),
    )


def _read_timer(item: dict[str, Any]) -> CreateTimer:
    return CreateTimer(
        OperationId(item["op"]),
        timedelta(seconds=item["delay"]),
        datetime.fromisoformat(item["fire_at"]),
        item["line"],
    )


def _read_start[S: (StartChild, StartDetached)](kind: type[S], item: dict[str, Any]) -> S:
    return kind(
        OperationId(item["op"]),
        item["name"],
        item.get("version"),
        InstanceId(item["instance"]),
        raw_json(item["input"]),
        item["line"],
    )


_READERS: dict[str, Callable[[dict[str, Any]], Action]] = {
    "activity": _read_activity,
    "cancel_activity": lambda i: CancelActivity(OperationId(i["op"]), i["reason"]),
    "timer": _read_timer,
    "cancel_timer": lambda i: CancelTimer(OperationId(i["op"])),
    "child": lambda i: _read_start(StartChild, i),
    "cancel_child": lambda i: CancelChild(
        OperationId(i["op"]), InstanceId(i["instance"]), i["reason"]
    ),
    "detached": lambda i: _read_start(StartDetached, i),
    "wait": lambda i: WaitEvent(OperationId(i["op"]), i["name"], i["line"]),
    "cancel_wait": lambda i: CancelWait(OperationId(i["op"])),
    "status": lambda i: SetCustomStatus(
        OperationId(i["op"]), raw_json(i["value"]) if "value" in i else None
    ),
    "patch": lambda i: MarkPatch(i["patch"], i.get("deprecated", False), i["line"]),
    "continue": lambda i: ContinueAsNew(i["name"], i.get("version"), raw_json(i["input"])),
}
