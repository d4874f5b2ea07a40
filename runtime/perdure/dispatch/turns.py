"""Taking turns: fetch what is due, run it, commit what it decided.

The rhythm adapts itself. A quiet system goes in series (fetch, turns, commit, sleep) and loses no
time between. A busy one does not wait for commits: while one batch is being committed the next is
fetched and run, and whatever is ready when a commit returns goes with the next one.

Three things are kept about every turn between its fetch and the end of its commit: its lease, which
is renewed with all others in one call; the execution, which is out of the cache meanwhile; and
whether the lease is still the newest for its instance, for storage may give an instance out again
(to us, even) when a lease ran out. Only the newest may put its execution into the cache.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import batched

from perdure.dispatch.cache import ExecutionCache
from perdure.dispatch.commits import PoisonError, abandonment, to_commit
from perdure.dispatch.failing import failing_commit
from perdure.dispatch.histories import read_rest
from perdure.dispatch.key_reads import with_keys
from perdure.dispatch.life import Life
from perdure.dispatch.questions import Questions
from perdure.dispatch.settings import TurnSettings
from perdure.dispatch.storage import Alarm, Pulse, Storage
from perdure.dispatch.turn_thread import InlineTurns, TurnRunner, TurnThread
from perdure.errors import NotRegisteredError, PerdureError, ProviderError, SpinningTurnError
from perdure.model.actions import ReadKey
from perdure.model.ids import ExecutorId, InstanceId, LeaseToken
from perdure.model.records import Outcome, Record
from perdure.model.strictness import OnNondeterminism
from perdure.providers.administering import OpenQuestion
from perdure.providers.protocol import Provider
from perdure.providers.work import (
    AbandonTurn,
    Block,
    CodeId,
    CommitOutcome,
    FetchTurns,
    LeasedTurn,
    QuestionsHint,
    RenewOutcome,
    ResyncHint,
    TurnCommit,
    TurnLease,
    TurnsHint,
)
from perdure.replay.registry import Registry
from perdure.replay.turn import LiveExecution, open_execution
from perdure.telemetry import Metrics

__all__ = ["TurnDispatcher"]

_LOG = logging.getLogger("perdure.turns")
_QUESTIONS_LAST = 2.0


@dataclass(slots=True, eq=False)
class _Turn:
    """One leased turn, from its fetch to the end of its commit."""

    leased: LeasedTurn
    fetched_at: float
    calls_before: int
    """Reading of the alarm before the fetch: calls since then may be about this instance."""
    live: LiveExecution | None = None
    records: Sequence[Record] = ()
    commit: TurnCommit | None = None
    reads: Sequence[ReadKey] = ()
    """Keys of others to be read before the commit."""
    error: BaseException | None = None
    fails: bool = False
    """True: its run could not go on, and was to be failed instead."""
    seconds: float = 0.0


class TurnDispatcher:
    """Takes the turns of all instances whose code `registry` has.

    `run` works until `drain` is called; neither raises because storage is away.
    """

    def __init__(
        self,
        provider: Provider,
        registry: Registry,
        settings: TurnSettings | None = None,
        *,
        executor: ExecutorId | None = None,
        build: str = "",
        metrics: Metrics | None = None,
        dice: random.Random | None = None,
        draw: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._draw = draw
        dice = dice or random.Random()  # noqa: S311  for waits; tokens are made elsewhere
        self.executor = executor or ExecutorId(draw(63))
        self._registry = registry
        self._settings = settings or TurnSettings()
        history_records = self._settings.history_records_max
        self._limits = replace(registry.limits, history_records=history_records)
        self._build = build
        self._metrics = metrics or Metrics()
        self._storage = Storage(provider, self._metrics, dice)
        self._alarm = Alarm(self._settings.poll, dice)
        self._cache = ExecutionCache(self._settings.executions_cached_max)
        self._thread: TurnRunner = InlineTurns() if self._settings.inline else TurnThread()
        self._questions = Questions(
            self._storage,
            executor=self.executor,
            thread=self._thread,
            cache=self._cache,
            opener=self._open_for_question,
            poll=self._settings.poll,
            dice=dice,
            metrics=self._metrics,
        )
        self._leased: dict[InstanceId, _Turn] = {}
        self._ready: list[_Turn] = []
        self._committing: asyncio.Task[None] | None = None
        self._life = Life()
        self._longest = 0

    @property
    def pulse(self) -> Pulse:
        """When storage was last asked and answered."""
        return self._storage.pulse

    @property
    def busy(self) -> int:
        """Turns fetched and not yet committed."""
        return len(self._leased)

    @property
    def stuck_seconds(self) -> float:
        """How long the turn that runs now has been running."""
        return self._thread.turn_seconds

    @property
    def threads_given_up(self) -> int:
        """How many threads are in turns that do not return."""
        return self._thread.given_up

    async def drain(self) -> None:
        """Fetch no more, commit what ran, hand back the rest, and return when that is done."""
        self._life.draining.set()
        self._alarm.ring()
        self._questions.ring()
        await self._life.ended()

    async def run(self) -> None:
        """Take turns until drained."""
        helpers = {
            "perdure-turns-hints": self._listen(),
            "perdure-turns-leases": self._keep_leases(),
        }
        try:
            await self._life.run(self._work(), helpers)
        finally:
            if self._committing is not None:
                self._committing.cancel()
            self._cache.clear()
            for turn in self._leased.values():
                if turn.live is not None:  # its commit was cut off, if we were cancelled
                    self._cache.drop(turn.live)
            await self._thread.run(self._close_dropped)
            self._thread.close()
            self._life.end()

    # ------------------------------------------------------------------ the rhythm

    async def _work(self) -> None:
        code = [CodeId(name, version) for name, version in self._registry.code()]
        questions = asyncio.create_task(
            self._questions.run(code, self._life.draining), name="perdure-questions"
        )
        self._life.watch(questions)
        try:
            await self._take_turns(code)
            await asyncio.wait([questions], timeout=_QUESTIONS_LAST)
        finally:
            questions.cancel()
            await asyncio.gather(questions, return_exceptions=True)

    async def _take_turns(self, code: Sequence[CodeId]) -> None:
        settings = self._settings
        while not self._life.draining.is_set():
            turns = await self._fetch(code)
            if turns:
                await self._take(turns)
                if len(turns) < settings.busy_from or len(self._leased) > (
                    2 * settings.turns_per_fetch_max
                ):
                    await self._committed()
            if len(turns) < settings.turns_per_fetch_max and not self._life.draining.is_set():
                await self._alarm.sleep()
        await self._committed()

    async def _fetch(self, code: Sequence[CodeId]) -> list[_Turn]:
        settings = self._settings
        request = FetchTurns(
            executor=self.executor,
            token=LeaseToken(self._draw(63)),
            limit=settings.turns_per_fetch_max,
            lease=settings.lease,
            code=code,
            history_bytes=settings.history_bytes_max,
        )
        self._alarm.before_fetch()
        calls_before = self._alarm.calls
        fetched = await self._storage.insist(
            "fetch_turns", partial(self._storage.provider.fetch_turns, request), self._life.draining
        )
        if fetched is None:
            return []
        self._alarm.after_fetch(len(fetched.turns), fetched.next_due)
        now = asyncio.get_running_loop().time()
        turns = [_Turn(leased, now, calls_before) for leased in fetched.turns]
        for turn in turns:
            self._leased[turn.leased.instance] = turn
        if turns:
            self._metrics.observe("perdure_turns_fetched", len(turns))
        return turns

    async def _take(self, turns: Sequence[_Turn]) -> None:
        """Take turns; those whose history is still to be read come last, a few at a time.

        However many long histories are due at once, no more than those few are in memory.
        """
        missing = self._find_executions(turns)
        later = set(missing)
        await self._take_ready([turn for turn in turns if turn not in later] if later else turns)
        for few in batched(missing, self._settings.reloads_at_once):
            if not self._life.draining.is_set():
                await asyncio.gather(*(self._reload(turn) for turn in few))
            await self._take_ready(few)

    async def _take_ready(self, turns: Sequence[_Turn]) -> None:
        """Run turns in the thread, slice by slice, handing each slice to the commits."""
        waiting = deque(turns)
        while waiting and not self._life.draining.is_set():
            taken: list[_Turn] = []
            try:
                await self._thread.run(partial(self._take_slice, waiting, taken))
            except SpinningTurnError as error:  # its thread was given up with it
                taken[-1].error, taken[-1].live = error, None
            refused = [turn for turn in taken if turn.error is not None]
            self._commit_soon([turn for turn in taken if turn.error is None])
            if refused:
                await self._refuse(refused)
        if waiting:
            handed_back = [
                AbandonTurn(turn.leased.instance, turn.leased.token, count_attempt=False)
                for turn in waiting
            ]
            await self._abandon(handed_back, waiting, outcome="handed_back")

    def _find_executions(self, turns: Sequence[_Turn]) -> list[_Turn]:
        """Find what each turn goes on from; return those of which storage has to be asked more."""
        missing: list[_Turn] = []
        lookups: Counter[str] = Counter()
        for turn in turns:
            leased = turn.leased
            turn.live = self._cache.take(leased.instance, leased.execution)
            if leased.held and turn.live is not None:
                turn.records = leased.records
                found = "live"
            elif leased.held:
                missing.append(turn)
                found = "reloaded"
            else:
                if turn.live is not None:  # somebody else took a turn meanwhile
                    self._cache.drop(turn.live)
                    turn.live = None
                turn.records = leased.records
                found = "opened"
                if not leased.records or leased.records[-1].seq < leased.upto:
                    missing.append(turn)  # too long to be sent along, or all of it
            lookups[found] += 1
        for found, count in lookups.items():
            self._metrics.count("perdure_execution_lookups_total", found, by=count)
        return missing

    async def _reload(self, turn: _Turn) -> None:
        """Read a history, or the rest of it."""
        leased = turn.leased
        try:
            turn.records = await read_rest(
                self._storage, leased.instance, leased.execution, turn.records, upto=leased.upto
            )
        except ProviderError as error:
            turn.error = error

    # ------------------------------------------------------------------ in the thread

    def _take_slice(self, waiting: deque[_Turn], taken: list[_Turn]) -> None:
        """Take turns until the slice is over; nothing but this touches live executions."""
        self._close_dropped()
        clock = self._thread.clock
        until = clock() + self._settings.slice.total_seconds()
        while waiting:
            turn = waiting.popleft()
            taken.append(turn)
            started = clock()
            if turn.error is None:
                try:
                    self._thread.turn(partial(self._take_turn, turn))
                except BaseException as error:  # noqa: BLE001  even an exit is this turn's alone
                    if self._thread.is_given_up():
                        return
                    turn.error = error
            ended = clock()
            turn.seconds = ended - started
            if ended > until:
                break

    def _close_dropped(self) -> None:
        for live in self._cache.dropped():
            live.close()

    def _take_turn(self, turn: _Turn) -> None:
        leased, settings = turn.leased, self._settings
        if leased.attempt > settings.attempts_max:
            raise PoisonError(
                f"This turn was given out {leased.attempt - 1} times and never committed: it "
                "probably ends its process. Mend it, then resume the instance."
            )
        live = turn.live
        if live is None:
            live = self._open(leased.instance, leased.execution, turn.records)
            turn.live = live
        elif live.spoiled:
            msg = "a query left this execution out of order; it is opened anew"
            raise RuntimeError(msg)
        result = live.take_turn(turn.records, upto=leased.upto, now=leased.now)
        self._longest = max(self._longest, result.history_records)
        turn.commit, turn.reads = to_commit(leased, result)
        turn.records = ()

    def _open(
        self, instance: InstanceId, execution: int, records: Sequence[Record]
    ) -> LiveExecution:
        return open_execution(
            self._registry,
            instance,
            execution,
            records,
            limits=self._limits,
            strictness=self._settings.strictness,
            build=self._build,
        )

    def _open_for_question(self, asked: OpenQuestion, records: Sequence[Record]) -> LiveExecution:
        return self._open(asked.question.instance, asked.execution, records)

    # ------------------------------------------------------------------ handing in

    def _commit_soon(self, turns: Sequence[_Turn]) -> None:
        self._ready.extend(turns)
        if self._ready and self._committing is None:
            self._committing = asyncio.create_task(
                self._commit_ready(), name="perdure-turns-commit"
            )
            self._life.watch(self._committing)

    async def _committed(self) -> None:
        """Return when all that ran is committed."""
        while self._committing is not None:
            await self._committing

    async def _commit_ready(self) -> None:
        try:
            while self._ready:
                count = self._settings.turns_per_fetch_max
                batch, self._ready = self._ready[:count], self._ready[count:]
                await self._commit(batch)
        finally:
            self._committing = None

    async def _commit(self, turns: Sequence[_Turn]) -> None:
        commits = [turn.commit for turn in turns if turn.commit is not None]
        try:
            if any(turn.reads for turn in turns):
                reads = [turn.reads for turn in turns]
                commits = await with_keys(self._storage, commits, reads)
            outcomes = await self._storage.persist(
                "commit_turns", partial(self._storage.provider.commit_turns, commits)
            )
        except PerdureError as error:
            # Something in there cannot be stored, ever: find out what, and do the rest.
            if len(turns) > 1:
                for turn in turns:
                    await self._commit([turn])
                return
            turns[0].error = error
            await self._refuse(turns)
            return
        settled: Counter[tuple[str, str]] = Counter()
        ended: Counter[tuple[str, str]] = Counter()
        for turn, commit, outcome in zip(turns, commits, outcomes, strict=True):
            settled[turn.leased.name, outcome.value] += 1
            if outcome is CommitOutcome.COMMITTED and commit.ending is not None:
                ended[turn.leased.name, commit.ending.outcome.value] += 1
            self._settle(turn, commit, outcome)
        # Counted for the batch: to count each turn would take as long as a small decision.
        for labels, count in settled.items():
            self._metrics.count("perdure_turns_total", *labels, by=count)
        for labels, count in ended.items():
            self._metrics.count("perdure_executions_ended_total", *labels, by=count)
        self._metrics.observe_all("perdure_turn_seconds", [turn.seconds for turn in turns])
        self._metrics.set("perdure_executions_cached", len(self._cache))
        self._metrics.set("perdure_history_records_longest", self._longest)

    def _settle(self, turn: _Turn, commit: TurnCommit, outcome: CommitOutcome) -> None:
        leased = turn.leased
        is_newest = self._release(turn)
        live, turn.live = turn.live, None
        if outcome is CommitOutcome.LOST:
            self._metrics.count("perdure_leases_lost_total", "turn")
            _LOG.warning("a lease was lost before its commit", extra=_about(turn))
        if outcome is CommitOutcome.COMMITTED and commit.ending is not None:
            self._tell_ending(turn, commit, commit.ending.outcome)
        elif outcome is CommitOutcome.COMMITTED and is_newest and live is not None:
            self._cache.put(leased.instance, leased.execution, live)
            live = None
        if live is not None:
            self._cache.drop(live)
        for timer in commit.timers:
            passed = asyncio.get_running_loop().time() - turn.fetched_at
            self._alarm.due_in((timer.fire_at - leased.now).total_seconds() - passed)
        if self._alarm.calls != turn.calls_before or commit.next_execution or turn.reads:
            # What came in while the turn ran was not to be had then; it is now.
            self._alarm.ring()

    def _tell_ending(self, turn: _Turn, commit: TurnCommit, outcome: Outcome) -> None:
        if _LOG.isEnabledFor(logging.DEBUG):
            extra = {**_about(turn), "outcome": outcome.value}
            extra["orchestration_version"] = commit.version
            _LOG.debug("an execution ended", extra=extra)

    async def _refuse(self, turns: Sequence[_Turn]) -> None:
        """Give up turns that could not be taken, or whose decisions storage cannot take."""
        left: list[_Turn] = []
        refusals: list[AbandonTurn] = []
        for turn in turns:
            if turn.error is None:
                raise AssertionError("a turn is refused for an error")
            refusal = abandonment(turn.leased, turn.error, attempts_max=self._settings.attempts_max)
            if refusal.block is not None and not turn.fails and self._is_to_fail(turn):
                turn.fails = True
                if await self._fail(turn, refusal.block):
                    continue
            self._tell_refusal(turn, refusal)
            left.append(turn)
            refusals.append(refusal)
        if left:
            await self._abandon(refusals, left, outcome="abandoned")

    def _is_to_fail(self, turn: _Turn) -> bool:
        """Ask the definition, or else the settings, whether a run is failed rather than parked."""
        wanted = self._settings.strictness.on_nondeterminism
        with suppress(NotRegisteredError):
            definition = self._registry.resolve(turn.leased.name, turn.leased.version)
            wanted = definition.on_nondeterminism or wanted
        return wanted is OnNondeterminism.FAIL

    async def _fail(self, turn: _Turn, block: Block) -> bool:
        """End a run that would be parked; false if that cannot be."""
        leased = turn.leased
        try:
            records = await read_rest(
                self._storage, leased.instance, leased.execution, upto=leased.upto
            )
            turn.commit = failing_commit(leased, records, block, build=self._build)
        except PerdureError as error:
            _LOG.warning("a run cannot be failed, and is parked (%s)", error, extra=_about(turn))
            return False
        turn.error, turn.reads = None, ()
        _LOG.error("the run has failed", extra={**_about(turn), "outcome": block.reason})
        self._commit_soon([turn])
        return True

    def _tell_refusal(self, turn: _Turn, refusal: AbandonTurn) -> None:
        extra = {**_about(turn), "error": type(turn.error).__name__}
        if refusal.block is not None:
            extra["outcome"] = refusal.block.reason
            _LOG.error("the run is blocked until it is mended and resumed", extra=extra)
        else:
            _LOG.warning("a turn failed and will be tried again", extra=extra)

    async def _abandon(
        self, refusals: Sequence[AbandonTurn], turns: Sequence[_Turn], *, outcome: str
    ) -> None:
        for turn in turns:
            if turn.live is not None:
                self._cache.drop(turn.live)
                turn.live = None
        try:
            await self._storage.persist(
                "abandon_turns", partial(self._storage.provider.abandon_turns, refusals)
            )
        except ProviderError as error:
            _LOG.warning("turns were not handed back (%s): their leases will run out", error)
        for turn, refusal in zip(turns, refusals, strict=True):
            self._release(turn)
            told = outcome if refusal.block is None else "blocked"
            self._metrics.count("perdure_turns_total", turn.leased.name, told)
            if refusal.block is None:
                self._alarm.due_in(refusal.delay.total_seconds())

    def _release(self, turn: _Turn) -> bool:
        """Forget a lease; true if no newer one was given to us meanwhile."""
        if self._leased.get(turn.leased.instance) is not turn:
            return False
        del self._leased[turn.leased.instance]
        return True

    # ------------------------------------------------------------------ helpers

    async def _listen(self) -> None:
        async for hint in self._storage.hints([TurnsHint, QuestionsHint]):
            if isinstance(hint, TurnsHint | ResyncHint):
                self._alarm.ring()
            if isinstance(hint, QuestionsHint | ResyncHint):
                self._questions.ring()

    async def _keep_leases(self) -> None:
        """Renew what is held for long, and end turns that spin."""
        third = self._settings.lease.total_seconds() / 3
        longest = self._settings.turn_longest.total_seconds()
        clock = asyncio.get_running_loop().time
        renewed_at = clock()
        while True:
            # Turns on the loop itself have ended whenever this runs.
            await asyncio.sleep(third if self._settings.inline else min(third, 1.0))
            if (lines := self._thread.interrupt(longest)) is not None:
                _LOG.error("a turn that spins was interrupted after %.0f s, at %s", longest, lines)
            elif (lines := self._thread.give_up(longest / 2)) is not None:
                _LOG.error("a turn does not return, its thread is given up; it is at %s", lines)
            self._metrics.set("perdure_turn_threads_given_up", self._thread.given_up)
            if clock() - renewed_at >= third:
                renewed_at = clock()
                await self._renew(renewed_at - third)

    async def _renew(self, fetched_before: float) -> None:
        turns = [turn for turn in self._leased.values() if turn.fetched_at <= fetched_before]
        if not turns or self._thread.turn_seconds > 3 * self._settings.turn_longest.total_seconds():
            return  # a turn that cannot be ended must be left to another process
        leases = [TurnLease(turn.leased.instance, turn.leased.token) for turn in turns]
        try:
            renewed = await self._storage.call(
                "renew_turns",
                lambda: self._storage.provider.renew_turns(leases, self._settings.lease),
            )
        except ProviderError as error:
            _LOG.warning("leases of turns were not renewed: %s", error)
            return
        for turn, result in zip(turns, renewed, strict=True):
            if result.outcome is RenewOutcome.LOST and turn.error is None and turn.commit is None:
                turn.error = ProviderError("renew_turns", "the lease was lost", retryable=True)


def _about(turn: _Turn) -> dict[str, object]:
    leased = turn.leased
    return {
        "instance_id": leased.instance,
        "execution_id": leased.execution,
        "orchestration_name": leased.name,
        "orchestration_version": leased.version,
        "attempt": leased.attempt,
    }
