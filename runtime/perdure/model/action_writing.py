"""Actions as JSON text: the writing half of `perdure.model.turns`.

On the path that bounds throughput, so it joins strings, with values put in as the JSON they
already are. What is at its default is left out.
"""

from __future__ import annotations

from functools import lru_cache
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
from perdure.model.codec import encode_failure, json_string
from perdure.model.records import ParentClose

if TYPE_CHECKING:
    from collections.abc import Callable

    from perdure.model.failure import Failure
    from perdure.model.ids import JsonText
    from perdure.model.options import ActivityOptions, StartOptions
    from perdure.model.policy import Retry

__all__ = ["quoted", "write_action"]


quoted: Callable[[str], str] = lru_cache(maxsize=4096)(json_string)
"""Names, tags and source lines: few, and met over and over."""


def write_action(action: Action) -> str:
    """Write one action as a JSON object."""
    return _WRITERS[type(action)](action)


def _activity(action: ScheduleActivity) -> str:
    tag = f',"tag":{quoted(action.tag)}' if action.tag else ""
    retry = "" if action.retry is None else f',"retry":{_retry(action.retry)}'
    timeout = "" if action.timeout is None else f',"timeout":{action.timeout.total_seconds()!r}'
    options = "" if action.options is None else f',"options":{_activity_options(action.options)}'
    return (
        f'{{"do":"activity","op":"{action.operation}","name":{quoted(action.name)}'
        f',"input":{action.input}{tag}{retry}{timeout}{options},"line":{quoted(action.line)}}}'
    )


@lru_cache(maxsize=256)
def _retry(retry: Retry) -> str:
    total = "" if retry.total is None else f',"total":{retry.total.total_seconds()!r}'
    step = f',"step":{retry.step.total_seconds()!r}' if retry.step else ""
    return (
        f'{{"max_attempts":{retry.max_attempts},"initial":{retry.initial.total_seconds()!r}'
        f',"factor":{retry.factor!r},"longest":{retry.longest.total_seconds()!r}'
        f',"jitter":{retry.jitter!r},"not_on":[{",".join(map(json_string, retry.not_on))}]'
        f"{total}{step}}}"
    )


def _activity_options(options: ActivityOptions) -> str:
    parts: list[str] = []
    if options.session is not None:
        parts.append(f'"session":{json_string(options.session)}')
    if options.priority:
        parts.append(f'"priority":{options.priority}')
    if options.limit is not None:
        parts.append(f'"limit":{json_string(options.limit)}')
    if options.queue_timeout is not None:
        parts.append(f'"queue_timeout":{options.queue_timeout.total_seconds()!r}')
    if options.heartbeat_timeout is not None:
        parts.append(f'"heartbeat_timeout":{options.heartbeat_timeout.total_seconds()!r}')
    return f"{{{','.join(parts)}}}"


def _timer(action: CreateTimer) -> str:
    return (
        f'{{"do":"timer","op":"{action.operation}","delay":{action.delay.total_seconds()!r}'
        f',"fire_at":"{action.fire_at.isoformat()}","line":{quoted(action.line)}}}'
    )


def _start(kind: str, action: StartChild | StartDetached) -> str:
    version = "" if action.version is None else f',"version":{quoted(action.version)}'
    options = "" if action.options is None else f',"options":{_start_options(action.options)}'
    return (
        f'{{"do":"{kind}","op":"{action.operation}","name":{quoted(action.name)}{version}'
        f',"instance":{json_string(action.instance)},"input":{action.input}{options}'
        f',"line":{quoted(action.line)}}}'
    )


def _start_options(options: StartOptions) -> str:
    parts: list[str] = []
    if options.parent_close is not ParentClose.CANCEL:
        parts.append(f'"parent_close":"{options.parent_close}"')
    if options.priority:
        parts.append(f'"priority":{options.priority}')
    if options.limit is not None:
        parts.append(f'"limit":{json_string(options.limit)}')
    if options.timeout is not None:
        parts.append(f'"timeout":{options.timeout.total_seconds()!r}')
    if options.attributes is not None:
        parts.append(f'"attributes":{options.attributes}')
    return f"{{{','.join(parts)}}}"


def _about_child(kind: str, action: CancelChild | TerminateChild) -> str:
    return (
        f'{{"do":"{kind}","op":"{action.operation}","instance":{json_string(action.instance)}'
        f',"reason":{json_string(action.reason)}}}'
    )


def _wait(kind: str, operation: str, name: str, line: str) -> str:
    return f'{{"do":"{kind}","op":"{operation}","name":{quoted(name)},"line":{quoted(line)}}}'


def _status(action: SetCustomStatus) -> str:
    value = "" if action.value is None else f',"value":{action.value}'
    line = f',"line":{quoted(action.line)}' if action.line else ""
    return f'{{"do":"status","op":"{action.operation}"{value}{line}}}'


def _attributes(action: SetAttributes) -> str:
    return (
        f'{{"do":"attributes","op":"{action.operation}","values":{action.values}'
        f',"line":{quoted(action.line)}}}'
    )


def _set_key(action: SetKey) -> str:
    return (
        f'{{"do":"set_key","op":"{action.operation}","key":{json_string(action.key)}'
        f',"value":{action.value},"line":{quoted(action.line)}}}'
    )


def _read_key(action: ReadKey) -> str:
    return (
        f'{{"do":"read_key","op":"{action.operation}","instance":{json_string(action.instance)}'
        f',"key":{json_string(action.key)},"line":{quoted(action.line)}}}'
    )


def _came_to(result: JsonText | None, failure: Failure | None) -> str:
    given = "" if result is None else f',"result":{result}'
    return given if failure is None else f'{given},"failure":{encode_failure(failure)}'


def _step(action: RecordStep) -> str:
    return (
        f'{{"do":"step","op":"{action.operation}","name":{quoted(action.name)}'
        f'{_came_to(action.result, action.failure)},"line":{quoted(action.line)}}}'
    )


def _answer(action: AnswerUpdate) -> str:
    what = _came_to(action.result, action.failure)
    return f'{{"do":"answer","update":{json_string(action.update)}{what}}}'


def _refuse(action: RefuseCall) -> str:
    return (
        f'{{"do":"refuse","op":"{action.operation}","call":{quoted(action.call)}'
        f',"message":{json_string(action.message)},"line":{quoted(action.line)}}}'
    )


def _patch(action: MarkPatch) -> str:
    deprecated = ',"deprecated":true' if action.deprecated else ""
    return (
        f'{{"do":"patch","patch":{quoted(action.patch)}{deprecated},"line":{quoted(action.line)}}}'
    )


def _continue(action: ContinueAsNew) -> str:
    version = "" if action.version is None else f',"version":{quoted(action.version)}'
    return f'{{"do":"continue","name":{quoted(action.name)}{version},"input":{action.input}}}'


_WRITERS: dict[type[Any], Callable[[Any], str]] = {
    ScheduleActivity: _activity,
    CancelActivity: lambda a: (
        f'{{"do":"cancel_activity","op":"{a.operation}","reason":{json_string(a.reason)}}}'
    ),
    CreateTimer: _timer,
    CancelTimer: lambda a: f'{{"do":"cancel_timer","op":"{a.operation}"}}',
    StartChild: lambda a: _start("child", a),
    CancelChild: lambda a: _about_child("cancel_child", a),
    TerminateChild: lambda a: _about_child("terminate_child", a),
    StartDetached: lambda a: _start("detached", a),
    WaitEvent: lambda a: _wait("wait", a.operation, a.name, a.line),
    WaitNext: lambda a: _wait("wait_next", a.operation, a.name, a.line),
    DequeueEvent: lambda a: _wait("dequeue", a.operation, a.queue, a.line),
    CancelWait: lambda a: f'{{"do":"cancel_wait","op":"{a.operation}"}}',
    SetCustomStatus: _status,
    SetAttributes: _attributes,
    SetKey: _set_key,
    ClearKey: lambda a: (
        f'{{"do":"clear_key","op":"{a.operation}","key":{json_string(a.key)}'
        f',"line":{quoted(a.line)}}}'
    ),
    ClearKeys: lambda a: f'{{"do":"clear_keys","op":"{a.operation}","line":{quoted(a.line)}}}',
    ReadKey: _read_key,
    RecordStep: _step,
    AnswerUpdate: _answer,
    RefuseCall: _refuse,
    MarkPatch: _patch,
    ContinueAsNew: _continue,
}
