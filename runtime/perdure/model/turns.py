"""The body of a `TURN` record: everything that one turn decided.

This is written once per turn, on the path that bounds throughput, and read only when a history
is replayed cold. So writing joins strings, with arguments put in as the JSON they already are,
and reading pays for both. The form, with what is at its default left out::

    {"upto":7, "now":"2026-…+00:00", "python":"3.13", "version":"1.0.0", "build":"…",
     "actions":[{"do":"activity","op":"0:1","name":"charge","input":{…},"line":"a/b.py:12"}, …],
     "ending":{"outcome":"Completed","output":…}, "unread":["approved"]}

How each action is written is in `perdure.model.action_writing`. A reader refuses a kind of action
that it does not know.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic_core import from_json

from perdure.errors import PayloadError
from perdure.model.action_reading import read_action
from perdure.model.action_writing import quoted, write_action
from perdure.model.actions import Action
from perdure.model.codec import encode_failure, failure_of, json_string, raw_json
from perdure.model.ids import JsonText
from perdure.model.records import Ending, Outcome
from perdure.model.values import value

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
    unread_queued: tuple[str, ...] = ()
    """The same for queues: the queue's name for each message that nobody took."""


@lru_cache(maxsize=64)
def _moment(at: datetime) -> str:
    """Write a time; all turns of one fetch share theirs."""
    return at.isoformat()


# ------------------------------------------------------------------------- writing


def encode_turn(body: TurnBody) -> JsonText:
    """Encode the body of a `TURN` record."""
    head = f'{{"upto":{body.upto},"now":"{_moment(body.now)}","python":"{body.python}"'
    parts = [f'{head},"version":{quoted(body.version)}']
    if body.build:
        parts.append(f',"build":{quoted(body.build)}')
    if body.actions:
        actions = ",".join([write_action(action) for action in body.actions])
        parts.append(f',"actions":[{actions}]')
    if body.ending is not None:
        parts.append(f',"ending":{_encode_ending(body.ending)}')
    if body.unread:
        parts.append(f',"unread":[{",".join(map(json_string, body.unread))}]')
    if body.unread_queued:
        parts.append(f',"unread_queued":[{",".join(map(json_string, body.unread_queued))}]')
    parts.append("}")
    return JsonText("".join(parts))


def _encode_ending(ending: Ending) -> str:
    output = "" if ending.output is None else f',"output":{ending.output}'
    failure = "" if ending.failure is None else f',"failure":{encode_failure(ending.failure)}'
    return f'{{"outcome":"{ending.outcome}"{output}{failure}}}'


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
            actions=tuple([read_action(item) for item in data.get("actions", ())]),
            ending=None if ending is None else _read_ending(ending),
            unread=tuple(data.get("unread", ())),
            unread_queued=tuple(data.get("unread_queued", ())),
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
