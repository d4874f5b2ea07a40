"""Edits in flight: which of them an execution takes.

A running execution has decided by the old code; fresh ones should decide by the new. The code
holds both branches and asks, by a name of the edit, which one to take. The answer must be the same
on every replay, so a `True` is recorded in the turn that first gave it, as a mark. The rule:

* in a turn that is taken for the first time, the answer is True, and the turn is marked;
* in a turn that is replayed, the answer is whether the recorded turn has the mark: without it, the
  code that passed here then was the old one;
* whatever was answered first holds for the execution, so two places that ask for one edit agree.

A mark is no operation: it takes no number, so that asking moves no other name. What the branches
decide is compared as ever. Of the marks themselves only one thing is checked: an execution that
took an edit must not be continued by code that has not heard of it, for a branch that only computes
leaves no other trace. Code that takes the new branch in any case says so by deprecating the patch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.errors import NondeterminismError
from perdure.model.actions import MarkPatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perdure.model.actions import Action

__all__ = ["Patches"]


class Patches:
    """The answers of one execution."""

    __slots__ = ("_answers", "_deprecated", "_recorded")

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self._answers: dict[str, bool] = {}
        self._deprecated: set[str] = set()
        self._recorded: dict[str, MarkPatch] = {}

    def replay(self, actions: Iterable[Action]) -> None:
        """Take note of the marks of the recorded turn that is about to be repeated."""
        self._recorded = {each.patch: each for each in actions if isinstance(each, MarkPatch)}

    def ask(
        self, patch: str, line: str, *, deprecated: bool, replaying: bool
    ) -> tuple[bool, MarkPatch | None]:
        """Answer, with the mark to record if this is the first time and the answer is yes."""
        if deprecated:
            self._deprecated.add(patch)
        known = self._answers.get(patch)
        if known is not None:
            return known, None
        taken = patch in self._recorded if replaying else True
        self._answers[patch] = taken
        return taken, MarkPatch(patch, deprecated, line) if taken else None

    def compare(self, instance: str) -> None:
        """Refuse code that does not take what the repeated turn took.

        Raises:
            NondeterminismError: it does not ask for the patch, or asked too early.
        """
        for patch, mark in self._recorded.items():
            if mark.deprecated or patch in self._deprecated or self._answers.get(patch):
                continue
            found = (
                "the code does not ask for it there"
                if patch not in self._answers
                else "the code asks for it earlier, in a turn that was decided without it"
            )
            msg = (
                f"instance {instance!r}: history took the patch {patch!r} at {mark.line}, but "
                f"{found}. Put ctx.patched({patch!r}) back, or where no run without it is left "
                f"ctx.deprecate_patch({patch!r}), until the runs that took it have ended"
            )
            raise NondeterminismError(msg)
