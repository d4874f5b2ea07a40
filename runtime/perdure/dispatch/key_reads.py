"""Reading keys of other instances for turns that asked for them.

A turn may not look at another instance: a replay would see something else. So it asks, and what is
read goes into its own history as a message to itself, committed together with the turn; the next
turn finds it there, and every replay does. It is read just before the commit: as late as can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from perdure.dispatch.storage import Storage
from perdure.model.actions import ReadKey
from perdure.model.ids import InstanceId, JsonText
from perdure.model.records import RecordKind
from perdure.providers.work import Message, TurnCommit

__all__ = ["with_keys"]

_NULL = JsonText("null")


async def with_keys(
    storage: Storage,
    commits: Sequence[TurnCommit],
    reads: Sequence[Sequence[ReadKey]],
) -> list[TurnCommit]:
    """Return the commits with what their turns wanted to read.

    Raises:
        ProviderError: storage refuses to read, and will not do otherwise.
    """
    found = await _read(storage, {(r.instance, r.key) for each in reads for r in each})
    return [
        replace(commit, messages=commit.messages + _answers(commit, wanted, found))
        if wanted
        else commit
        for commit, wanted in zip(commits, reads, strict=True)
    ]


async def _read(
    storage: Storage, wanted: set[tuple[InstanceId, str]]
) -> dict[tuple[InstanceId, str], JsonText]:
    """Read keys, in one call for each name of a key."""
    found: dict[tuple[InstanceId, str], JsonText] = {}
    for key in sorted({key for _, key in wanted}):
        instances = sorted({instance for instance, name in wanted if name == key})
        maps = await storage.persist(
            "read_keys", partial(storage.provider.read_keys, instances, key)
        )
        for instance, entries in zip(instances, maps, strict=True):
            for entry in entries:
                found[instance, entry.key] = entry.value
    return found


def _answers(
    commit: TurnCommit, wanted: Sequence[ReadKey], found: dict[tuple[InstanceId, str], JsonText]
) -> tuple[Message, ...]:
    return tuple(
        Message(
            commit.instance,
            RecordKind.KEY_READ,
            ref=read.operation,
            body=_written(commit, read) or found.get((read.instance, read.key), _NULL),
            execution=commit.execution,
        )
        for read in wanted
    )


def _written(commit: TurnCommit, read: ReadKey) -> JsonText | None:
    """Return what this very turn makes of the key, if it reads its own instance's map."""
    if read.instance != commit.instance:
        return None
    for write in reversed(commit.keys):
        if write.key == read.key:
            return write.value or _NULL
    return _NULL if commit.clear_keys else None
