"""Values that are made several times for every turn.

`dataclass(frozen=True)` writes each field by `object.__setattr__`: 1.6 µs for ten fields, where a
plain one takes 0.3. With some hundred fields to an instance that was a tenth of a replayer's time.
So the few classes that are made most use `value`. To checkers it *is* `dataclass`, and what writes
to a field does not pass them; at run time equality and hash are those of a frozen one, and a write
is not stopped.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as value
else:

    def value[C](*, frozen: bool, slots: bool) -> Callable[[type[C]], type[C]]:
        """Make a dataclass that is frozen to checkers alone."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
