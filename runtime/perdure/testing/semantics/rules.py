"""How a run goes on and ends: nondeterminism, limits, errors, lifecycle, poison, versions."""

from __future__ import annotations

from perdure.testing.semantics.rows import Table

__all__ = ["TABLES"]

_NONDETERMINISM = """
ActivityScheduled: name, input, session, tag | actions.ScheduleActivity,
    replay.compare.compare_actions | the same; retry, times, priority and limit may change
TimerCreated: kind only | actions.CreateTimer | the delay is compared
ExternalSubscribed, QueueSubscribed: name | actions.WaitNext, actions.WaitEvent,
    actions.DequeueEvent | name and sort
SubOrchestrationScheduled: name, input | actions.StartChild | the id and the version too
OrchestrationChained: name, instance, input | actions.StartDetached | the version too
CustomStatusUpdated: kind only | actions.SetCustomStatus | the value is compared
KeyValueSet: key and value | actions.SetKey | a missing one is not tolerated
KeyValueCleared: key; KeyValuesCleared: kind | actions.ClearKey, actions.ClearKeys | the same
matching by position | model.ids.OperationId | by the task that called and its how-manieth call:
    the order in which tasks of one turn call does not matter
(a) a schedule in history, nothing emitted | replay.edits, errors.NondeterminismError | found,
    told as the edit that it was, with both lines
(b) another kind or other fields | replay.compare.compare_actions, errors.NondeterminismError |
    likewise
(c) completion without an open schedule | replay.inbox.Inbox | storage takes an answer only from
    whoever has the lease; an answer to what was withdrawn is recorded and passes
(d) completion of another kind | replay.inbox.Inbox, errors.NondeterminismError | the same
(e) completion message of an unknown or wrong kind | replay.inbox.Inbox | as (c) and (d)
(f) recorded drops that the code does not repeat | actions.CancelActivity, actions.CancelWait,
    actions.CancelTimer, actions.CancelChild | drops are actions and compared as such: one more is
    found too
(g) unconsumed completion at continue-as-new | replay.turn.LiveExecution | answers to what an
    execution gave up pass; only disagreeing decisions count
not found: timers' durations, status texts | replay.compare.compare_actions | found
not found: code after the last event, code that ends early | replay.turn.LiveExecution | found:
    every recorded turn must be decided again whole, its ending included
the run fails | TurnSettings.strictness, model.strictness.OnNondeterminism,
    env:PERDURE_ON_NONDETERMINISM, work.Block | the run is Blocked, and goes on when the code is
    mended; `fail` is the seed's way
"""

_FUTURES = """
join: in argument order, waits for all | ctx.join, replay.races | the same; `asyncio.gather` and
    `TaskGroup` fail fast
select2, select3 | ctx.select2, ctx.select3, ctx.select | the same, of any number
winner by history order | replay.loop | one message is delivered at a time, the loop running to
    rest after each
dropped activity: breadcrumb, row deleted | actions.CancelActivity | by `handle.cancel()`, a lost
    race, the end of the task that awaits; a handle that is merely forgotten goes on
dropped child: cancel | actions.CancelChild | the same, also in turns that continue as new
dropped wait: breadcrumb | actions.CancelWait | the same
dropped timer: nothing | actions.CancelTimer | taken back: it does not fire
drops in a continue-as-new or cancelled turn | replay.engine.Engine.withdraw_all | collected in
    every turn; there they are lost
infrastructure, configuration, poison never reach user code | replay.failures.REACHES_USER_CODE |
    the same for activities; of a child its parent learns every outcome as `OrchestrationError`
joins of thousands | replay.loop | nothing is polled: wake-ups are counted and ordered
schedule_activity_with_retry: a timeout ends it | ctx.schedule_activity_with_retry,
    replay.retrying.call_with_retry | the same; with `retry=` of the activity a timed-out attempt
    is one like any other
"""

_EVENTS = """
positional events: lost before the wait | ctx.schedule_wait | it takes none from before, but
    nothing is lost: `wait_event` finds it, or the end lists it
cancelled slots are compressed out | ctx.schedule_wait | a wait that was given up takes nothing,
    from the moment when it was
events not carried over continue-as-new | records.StartedBody.carried | carried, in order
queues: FIFO, buffered from before the dequeue | ctx.queue, ctx.dequeue_event | from before the
    start too
carry-forward cap, newest dropped | Limits.carried_events, errors.InboxFullError | nothing that
    was accepted is dropped: an event is refused once 10,000 are unread, and a continue-as-new
    with more than the limit parks
KV: store and delta | records.StartedBody.keys, ctx.kv | one map, in the history itself
KV timestamps of the writing host | records.KeyValue.updated_at | the turn's recorded time, on
    replay too
KV prune in no order | ctx.prune_kv_values_updated_before | in the order in which keys were set
system calls as activities | ctx.new_guid, ctx.utc_now | derived in the turn from what is
    recorded; not awaited
reserved name prefix | - | not there: no activity is the engine's own, so no name is reserved
another instance's key by a system activity | ctx.get_kv_value_from_instance, actions.ReadKey |
    read by the turn's commit, and recorded
trace | ctx.logger, ctx.trace | silent on replay, no events
"""

_LIMITS = """
custom status 256 KiB: the run fails | Limits.custom_status_bytes | the same size; the call raises
    `PayloadError`, recorded, and code may catch it
KV keys 150 | Limits.keys | the same; likewise
KV value 64 KiB | Limits.value_bytes, Limits.keys_total_bytes | the same, and 1 MiB in all;
    likewise
carried queue messages 100 | Limits.carried_events | 50,000; more parks the run, nothing is
    dropped
worker tags 5, tag 256 B | model.ids.TAG_BYTES_MAX | any number, 63 bytes
quiescence rounds 100 | Limits.callbacks_per_turn, Limits.actions_per_turn,
    TurnSettings.turn_longest, errors.SpinningTurnError | a million wake-ups, 100,000 calls, ten
    seconds; the run is parked
history length: none | Limits.history_records, TurnSettings.history_records_max,
    env:PERDURE_HISTORY_LIMIT, errors.HistoryLimitError, ctx.history_length,
    ctx.should_continue_as_new | 50,000 records of one execution, warned of at 50 and 80 %; then
    the run is parked, never killed
payload sizes: none | Limits.payload_bytes, model.codec.PAYLOAD_BYTES_MAX | 2 MiB, refused at the
    call, naming the largest argument
a violation in a child hangs its parent | records.RecordKind.CHILD_FAILED | the parent is told,
    whatever ended the child
– | Limits.attribute_bytes, model.ids.INSTANCE_ID_BYTES_MAX, model.ids.NAME_BYTES_MAX | attributes
    8 KiB, ids and names 253 bytes
"""

_ERRORS = """
Infrastructure | failure.FailureCategory.INFRASTRUCTURE, errors.ProviderError | of storage; a turn
    is repeated, never failed for it
Configuration (Nondeterminism) | failure.FailureCategory.CONFIGURATION,
    errors.NondeterminismError, errors.ConfigurationError, errors.NotRegisteredError,
    errors.PayloadError | sorted by who must act
Application: ActivityFailed | failure.FailureCategory.APPLICATION, errors.ActivityError,
    errors.ApplicationError | typed, with details and the remote traceback
Application: OrchestrationFailed | errors.OrchestrationError | likewise
Application: Panicked | failure.Failure.traceback | an exception is one like any other: its type
    and traceback are kept
Application: Cancelled | failure.FailureCategory.CANCELLED, errors.OrchestrationCancelledError,
    records.Outcome.CANCELLED | an outcome of its own
Poison | failure.FailureCategory.POISON | of an activity, which fails; of a turn, whose run is
    parked
retryable | failure.Failure.retryable | the same
display text | failure.Failure.message | for people; programs read `category` and `type`
client: Provider(error) | errors.ProviderError | the same
client: ManagementNotAvailable | - | not there: every provider can manage
client: InvalidInput | errors.CallerError, errors.DefinitionError | names what was given and
    expected
client: Timeout | errors.ResultTimeoutError | also a `TimeoutError`
client: InstanceStillRunning | errors.InstanceUnfinishedError | told by storage, not by a text
client: CannotDeleteSubOrchestration | errors.CallerError | likewise
client: InstanceNotFound | errors.InstanceNotFoundError | likewise
– | failure.FailureCategory.TIMEOUT, failure.FailureCategory.TERMINATED,
    errors.OrchestrationTimedOutError, errors.OrchestrationTerminatedError | of attempts and runs
– | errors.PerdureError, errors.AuthorError, errors.OutcomeError | the roots, by who must act
– | errors.ForbiddenCallError | an orchestration did what only an activity may do
– | errors.InstanceExistsError, errors.InstanceFinishedError, errors.InboxFullError | there the
    message is taken, and nothing comes of it
– | errors.QueryError, errors.UpdateError | queries and updates
– | errors.LeaseLostError | somebody else holds the work
"""

_LIFECYCLE = """
precedence: cancelled, continued, returned or raised | replay.turn.LiveExecution | what the code
    does when it is cancelled counts: it may clean up, and a result that it returns all the same
    completes it
completion discards new actions except detached starts | replay.turn.LiveExecution | the last
    turn's actions are withdrawn one by one; detached starts and status stay
cancellation never runs a catch block | ctx.cancel_reason, events.OrchestrationCancelled |
    `asyncio.CancelledError` at the await: code may clean up, with activities too
cascade to children, one hop a turn | actions.CancelChild, records.ParentClose | the same
cancel of a finished instance is a no-op | client.cancel | the same
continue-as-new: new execution, version by policy | ctx.continue_as_new | the same
carried: queue messages, status, KV, sessions, parent link | records.StartedBody | events,
    updates, attributes, deadline and priority too
not carried: timers, waits, activities, children | records.ParentClose | children are cancelled,
    or as their `parent_close` says
child id from the event's position | model.ids.child_instance_id | from the parent's id, the
    execution and the structural id; too long ones end in a digest
reserved id marks | perdure.client.instance_ids.checked_instance_id | ids given to a client hold
    no `::`
child id that is taken | records.RecordKind.CHILD_FAILED | the parent is told, in every case
detached start | replay.definitions.OrchestrationDef.start_detached, ctx.schedule_orchestration |
    the same; without an id it gets a derived one
late completions vanish | work.EnqueueOutcome.FINISHED | the same
– | client.terminate, client.suspend, client.resume, records.Outcome.TERMINATED | without its code
– | records.StartedBody.timeout, records.Outcome.TIMED_OUT, ctx.deadline | a deadline over all
    executions
"""

_POISON = """
attempts above max_attempts (10) | TurnSettings.attempts_max, ActivitySettings.deliveries_max |
    the same numbers; a run is parked as `Poison`, an activity fails
corrupt history: 1 s, then failed | dispatch.commits.abandonment | parked as `UndecodableHistory`
incompatible version: bounced | work.FetchTurns.code | never fetched
unregistered handler: backoff, then poison | work.FetchTurns.code, work.FetchActivities.names |
    never fetched: it waits, uncounted, for whoever has the code
poisoned runs notify nobody | dispatch.failing.failing_commit | a parked run has not ended; one
    that is failed tells its parent
the poison commit needs the live lease | work.AbandonTurn.block | parking needs the lease just
    fetched
duplicate registration is a build error | replay.registry.Registry, errors.DefinitionError | at
    once, naming both places
versions strictly increasing | replay.registry.Registry | any order; the greatest is the latest
policy Latest or Exact | replay.definitions.OrchestrationDef.options | the latest unless
    `version=` is given
registries merge | replay.registry.Registry.from_module | the same
retry policy: max_attempts, backoff, timeout | Retry.max_attempts, Retry.none, Retry.fixed,
    Retry.linear, Retry.exponential, Retry.jitter, Retry.not_on, Retry.total | the same shapes,
    and more
"""

TABLES = (
    Table.of("Nondeterminism", _NONDETERMINISM, "What must be equal, and what is found."),
    Table.of("Waiting, racing, dropping", _FUTURES),
    Table.of("Events, queues, keys, system calls", _EVENTS),
    Table.of("Limits", _LIMITS),
    Table.of("Errors", _ERRORS),
    Table.of("Lifecycle", _LIFECYCLE),
    Table.of("Poison, backoff, versions, retries", _POISON),
)
