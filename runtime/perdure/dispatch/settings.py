"""What a dispatcher may be told; every default has its reason beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from perdure.errors import ConfigurationError
from perdure.model.ids import UNTAGGED
from perdure.model.strictness import WATCHFUL, Strictness

__all__ = ["ActivitySettings", "TurnSettings"]


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """How turns are taken."""

    lease: timedelta = timedelta(seconds=10)
    """How long a killed replayer keeps an instance waiting; renewed while a turn runs."""
    poll: timedelta = timedelta(seconds=5)
    """How long a hint that was lost can delay work; waits vary by a fifth around it."""
    turns_per_fetch_max: int = 500
    """Larger batches cost storage less for each turn, and make the last one wait longer."""
    busy_from: int = 24
    """Turns of one fetch from which on the next fetch no longer waits for their commits."""
    executions_cached_max: int = 5_000
    """Live executions kept in memory; what was dropped costs a reload of its history."""
    slice: timedelta = timedelta(milliseconds=25)
    """How long turns run before the first of them are committed."""
    turn_longest: timedelta = timedelta(seconds=10)
    """A turn that runs longer is interrupted and its run blocked as `SpinningTurn`."""
    attempts_max: int = 10
    """Fetches of one turn without a commit, after which its run is blocked as `Poison`."""
    history_records_max: int = 50_000
    """Records of one execution after which its run is blocked as `HistoryLimit`."""
    history_bytes_max: int = 16 * 1024 * 1024
    """Histories sent along with one fetch, all together; of longer ones the rest is read later."""
    reloads_at_once: int = 4
    """Histories read at once that memory has dropped, or that did not come with a fetch."""
    inline: bool = False
    """True: turns run on the dispatcher's own loop, as in a simulation."""
    strictness: Strictness = WATCHFUL
    """A call that a replay cannot repeat is worth a warning, once; the run may well go on."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: it names the setting.
        """
        _check(self, longer_than_nothing=("lease", "poll", "slice", "turn_longest"))
        counts = ("turns_per_fetch_max", "attempts_max", "history_records_max", "reloads_at_once")
        _check(self, at_least_one=counts)


@dataclass(frozen=True, slots=True)
class ActivitySettings:
    """How activities are run."""

    tags: tuple[str, ...] = (UNTAGGED,)
    """Which activities to take; `UNTAGGED` stands for those that name no tag."""
    slots: int = 64
    """Activities that run at once; also the most threads for bodies that are no coroutines."""
    lease: timedelta = timedelta(seconds=30)
    """How long the activity of a killed executor waits for another; renewed while it runs."""
    poll: timedelta = timedelta(seconds=5)
    """How long a hint that was lost can delay work; waits vary by a fifth around it."""
    drain: timedelta = timedelta(seconds=30)
    """How long running activities may finish after a request to stop."""
    cancel_grace: timedelta = timedelta(seconds=10)
    """From the cancellation of an activity to the cancellation of its asyncio task."""
    deliveries_max: int = 10
    """Attempts lost with their executor, after which the activity fails as poison."""
    progress: timedelta = timedelta(seconds=1)
    """How often at most the details of heartbeats are written, all of them in one call."""
    sessions_max: int = 100
    """Sessions whose activities come to this executor; 0: it takes no activity of a session."""
    sessions_lease: timedelta = timedelta(seconds=30)
    """How long the sessions of a killed executor wait for another; renewed while they are used."""
    sessions_idle: timedelta = timedelta(minutes=5)
    """A session that has had no activity for this long is free to go elsewhere."""
    inline: bool = False
    """True: bodies that are no coroutines run on the event loop, as in a simulation."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: it names the setting; or a session in use would look idle.
        """
        times = ("lease", "poll", "progress", "sessions_lease", "sessions_idle")
        _check(self, longer_than_nothing=times, at_least_one=("slots",))
        if isinstance(self.tags, str):  # its letters would be taken for tags
            raise ConfigurationError(
                f"ActivitySettings.tags is {self.tags!r}; expected a tuple, as in ({self.tags!r},)"
            )
        longest = max(self.sessions_lease, self.lease)
        if self.sessions_idle <= longest:
            raise ConfigurationError(
                f"sessions_idle (PERDURE_SESSIONS_IDLE_SECONDS) is "
                f"{self.sessions_idle.total_seconds():g} s; it must be longer than the leases of "
                f"sessions and activities, the longer of which is {longest.total_seconds():g} s: "
                "else a session would look idle while it is used"
            )


def _check(
    settings: object,
    *,
    longer_than_nothing: Sequence[str] = (),
    at_least_one: Sequence[str] = (),
) -> None:
    """Refuse times that are over at once, and counts of nothing."""
    for name in longer_than_nothing:
        time: timedelta = getattr(settings, name)
        if time <= timedelta(0):
            raise ConfigurationError(
                f"{type(settings).__name__}.{name} is {time.total_seconds():g} s; it must be more "
                "than 0"
            )
    for name in at_least_one:
        count: int = getattr(settings, name)
        if count < 1:
            raise ConfigurationError(
                f"{type(settings).__name__}.{name} is {count}; it must be at least 1"
            )
