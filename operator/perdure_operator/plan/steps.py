"""What a plan can ask for: data, so that it can be compared, counted and shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perdure.model.ids import InstanceId
    from perdure.providers.work import Control, Message
    from perdure_operator.api.v1alpha1 import (
        ExecutorPoolStatus,
        OrchestrationStatus,
        ReplayPoolStatus,
    )
    from perdure_operator.objects import Object

__all__ = [
    "AddFinalizer",
    "ApplyObject",
    "DeferTermination",
    "Note",
    "Plan",
    "RemoveFinalizer",
    "Send",
    "Start",
    "Status",
    "Steer",
    "Urgency",
]

type Status = OrchestrationStatus | ExecutorPoolStatus | ReplayPoolStatus


class Urgency(IntEnum):
    """Which status writes go first when there are too many."""

    PROGRESS = 0
    """Nothing depends on it: may wait, and may be skipped."""
    TRANSITION = 1
    """A phase or condition turned."""
    TERMINAL = 2
    """A run ended: others wait for that."""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Have deletion wait for us."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let deletion go on."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start an instance; sending it twice starts one."""

    message: Message


@dataclass(frozen=True, slots=True)
class Send:
    """Add a message to a history, once."""

    message: Message


@dataclass(frozen=True, slots=True)
class Steer:
    """Suspend, resume or terminate."""

    command: Control


@dataclass(frozen=True, slots=True)
class DeferTermination:
    """Remember to terminate an instance once the database is back."""

    instance: InstanceId


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Apply an object on the server's side."""

    path: str
    body: Object


type Step = AddFinalizer | RemoveFinalizer | Start | Send | Steer | DeferTermination | ApplyObject


@dataclass(frozen=True, slots=True)
class Note:
    """An Event for people to read beside the object."""

    reason: str
    message: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with one object now.

    Where there are steps they are taken and the object is looked at again; the status is written
    once, when there is nothing left to do.
    """

    steps: tuple[Step, ...] = ()
    status: Status | None = None
    """None: leave it."""
    urgency: Urgency = Urgency.TRANSITION
    notes: tuple[Note, ...] = ()
    again: timedelta | None = None
    """Look again after this long, whatever happens."""
