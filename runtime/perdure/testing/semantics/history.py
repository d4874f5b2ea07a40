"""What is remembered: the envelope, kinds of events, breadcrumbs, decisions, messages."""

from __future__ import annotations

from perdure.testing.semantics.rows import Table

__all__ = ["TABLES"]

_ENVELOPE = """
event_id | events.Event.event_id | counts within one execution as there; storage numbers records
    by `seq` over all executions, without gaps
source_event_id | events.OperationEvent.operation | the structural id of the operation that is
    answered, such as `0.2:1`: it holds on to the code's place, not to a position in the history
instance_id | records.Record, work.Message.instance | the key under which records are read; not
    repeated in each of them
execution_id | events.Event.execution, records.Record.execution | the same; written to failures
    too
timestamp_ms | events.Event.at, records.Record.at | the database's clock, never a process's; an
    aware date
duroxide_version | model.turns.TurnBody.version, model.turns.TurnBody.python,
    model.turns.TurnBody.build | each turn says which version of the orchestration, which Python
    and which build of the code decided it; the engine's own version pins nothing
kind | records.RecordKind | thirteen kinds are stored, a small integer each; the kinds that
    readers know are a view of these (`events.events_of`)
"""

_EVENTS = """
OrchestrationStarted | events.OrchestrationStarted, records.RecordKind.STARTED,
    records.StartedBody | first of each execution; carries unread events, unanswered updates,
    keys, custom status, attributes and the deadline along
OrchestrationCompleted | events.OrchestrationCompleted | lists what nobody read
OrchestrationFailed | events.OrchestrationFailed | likewise
OrchestrationContinuedAsNew | events.OrchestrationContinuedAsNew | the next execution starts in
    the same transaction, so nothing falls between them
OrchestrationCancelRequested | events.OrchestrationCancelRequested,
    records.RecordKind.CANCEL_REQUESTED | every request is kept; the first one counts
ActivityScheduled | events.ActivityScheduled, records.RecordKind.TURN | with the line that awaited
    it, and its options
ActivityCompleted | events.ActivityCompleted, records.RecordKind.ACTIVITY_COMPLETED | the same
ActivityFailed | events.ActivityFailed, records.RecordKind.ACTIVITY_FAILED | a second answer to
    one operation finds its lease lost, and is never written
ActivityCancelRequested | events.ActivityCancelRequested | the same
TimerCreated | events.TimerCreated | with the delay, which is compared on replay
TimerFired | events.TimerFired, records.RecordKind.TIMER_FIRED | the same
ExternalSubscribed | events.NextEventSubscribed, events.EventSubscribed | `schedule_wait`; and
    `wait_event`, which also takes what came before it
ExternalEvent | events.EventRaised, records.RecordKind.EVENT_RAISED | one event for both sorts of
    waits; kept when nobody waits
ExternalSubscribedCancelled | events.EventSubscriptionCancelled | says which operation, for all
    sorts of waits
QueueSubscribed (ExternalSubscribedPersistent) | events.QueueSubscribed | the same
QueueEventDelivered (ExternalEventPersistent) | events.EventQueued,
    records.RecordKind.EVENT_QUEUED | recorded when it arrives, not when it is taken
QueueSubscriptionCancelled (ExternalSubscribedPersistentCancelled) |
    events.EventSubscriptionCancelled | the same event as for other waits
SubOrchestrationScheduled | events.SubOrchestrationScheduled | with version, options and line
SubOrchestrationCompleted | events.SubOrchestrationCompleted, records.RecordKind.CHILD_COMPLETED |
    the same
SubOrchestrationFailed | events.SubOrchestrationFailed, records.RecordKind.CHILD_FAILED | written
    whatever ended the child, limits and terminations included
SubOrchestrationCancelRequested | events.SubOrchestrationCancelRequested | also in turns that
    continue as new or are cancelled
OrchestrationChained | events.OrchestrationChained | with version, options and line
CustomStatusUpdated | events.CustomStatusUpdated | any JSON value; compared on replay
KeyValueSet | events.KeyValueSet | its time is the turn's recorded time
KeyValueCleared | events.KeyValueCleared | the same
KeyValuesCleared | events.KeyValuesCleared | the same
– | events.Event, events.OperationEvent | what all have; what those have that answer an operation
– | events.OrchestrationCancelled, events.OrchestrationTimedOut, events.OrchestrationTerminated,
    records.RecordKind.TERMINATED | outcomes of their own, where there all are failures or absent
– | events.TimerCancelled | a timer that nobody awaits any more is taken back; there it fires, and
    is ignored
– | events.SubOrchestrationTerminateRequested | for a child with `parent_close="terminate"`
– | events.AttributesUpdated | what an instance is found by
– | events.KeyReadRequested, events.KeyRead, records.RecordKind.KEY_READ | reading another
    instance's key is an operation, not an activity
– | events.StepRecorded | what a step within a turn came to
– | events.UpdateRequested, events.UpdateAnswered, records.RecordKind.UPDATE_REQUESTED | requests
    that get an answer
– | events.CallRefused | a call beyond a limit, which raised
– | events.PatchTaken | the execution takes an edit of the code
"""

_BREADCRUMBS = """
dropped_future | actions.CancelActivity, actions.CancelChild, actions.CancelTimer,
    actions.CancelWait | a handle is dropped by `cancel`, by a lost race or by its task's end: an
    action of the turn, with the reason given
orchestration_terminal | events.OrchestrationCompleted.unread | waits that are open at the end
    leave no trace of their own; what was not read is listed instead
orchestration_terminal_completed | actions.CancelActivity, actions.CancelChild,
    actions.TerminateChild | what is open at the end is withdrawn by actions of the last turn,
    with the outcome as the reason; children by `parent_close`
orchestration_terminal_failed | actions.CancelActivity, actions.CancelChild,
    actions.TerminateChild | likewise
orchestration_terminal_continued_as_new | actions.CancelActivity, actions.CancelChild,
    actions.TerminateChild | likewise; there children go on as orphans
"""

_DECISIONS = """
CallActivity | actions.ScheduleActivity, work.NewActivity | with retry policy, timeout and options
CreateTimer | actions.CreateTimer, work.NewTimer | delay and time
WaitExternal | actions.WaitNext, actions.WaitEvent | positional, and buffered
DequeueEvent | actions.DequeueEvent | the same
StartSubOrchestration | actions.StartChild | with options
StartOrchestrationDetached | actions.StartDetached | with options
ContinueAsNew | actions.ContinueAsNew | the same
UpdateCustomStatus | actions.SetCustomStatus, work.CustomStatus | the same
SetKeyValue | actions.SetKey, work.KeyWrite | the same
ClearKeyValue | actions.ClearKey, work.KeyWrite | the same
ClearKeyValues | actions.ClearKeys, work.TurnCommit.clear_keys | the same
– | actions.TerminateChild, actions.SetAttributes, actions.ReadKey, actions.RecordStep,
    actions.AnswerUpdate, actions.RefuseCall, actions.MarkPatch | what only ours can ask for
"""

_WORK = """
StartOrchestration | records.RecordKind.STARTED, work.NewInstance | written into the history at
    once, and creates the instance: it is there before its first turn
ActivityCompleted | records.RecordKind.ACTIVITY_COMPLETED, work.ActivityCompleted | written by the
    finishing executor, under the lock of the instance's one row
ActivityFailed | records.RecordKind.ACTIVITY_FAILED, work.ActivityFailed, work.ActivityRetried | a
    failure that is tried again is no message at all
TimerFired | records.RecordKind.TIMER_FIRED | written by the fetch that finds the timer due, in
    the order of due times: an overdue one does not come before what happened earlier
ExternalRaised | records.RecordKind.EVENT_RAISED | kept for an instance that is not there yet
QueueMessage (ExternalRaisedPersistent) | records.RecordKind.EVENT_QUEUED | likewise
SubOrchCompleted | records.RecordKind.CHILD_COMPLETED, records.ParentLink | part of the child's
    last commit
SubOrchFailed | records.RecordKind.CHILD_FAILED, records.ParentLink | likewise; also of a child
    that was terminated, and where the child's id is taken
CancelInstance | records.RecordKind.CANCEL_REQUESTED | kept for an instance that is not there yet
ContinueAsNew | records.RecordKind.STARTED, work.TurnCommit.next_execution | no message: the next
    execution starts in the commit that ends the last
ActivityExecute | work.NewActivity, work.LeasedActivity | inserted by the turn's commit alone
– | records.RecordKind.UPDATE_REQUESTED, records.RecordKind.KEY_READ | messages that only ours
    have
"""

_STRAYS = """
completion for an older or newer execution | work.Message.execution | not written at all where it
    can be told, else dropped by the turn
completion already recorded | work.FinishOutcome.LOST | refused under the row's lock; failures are
    no exception
any item for an instance that has ended | work.EnqueueOutcome.FINISHED,
    errors.InstanceFinishedError | refused, and the sender told; a cancel does nothing
items between continue-as-new and its successor | work.TurnCommit.next_execution | there is no
    between; what arrives during the turn goes to the next execution after the carried ones
QueueMessage for an instance that is not there | work.EnqueueOutcome.KEPT | kept for seven days
    and delivered at the start; what expires is counted in `administering.Totals.tallies`
CancelInstance or ExternalRaised for an unknown instance | work.EnqueueOutcome.KEPT | likewise,
    and blocks nobody
StartOrchestration for an existing instance | work.EnqueueOutcome.EXISTS,
    errors.InstanceExistsError | the caller is told, or attaches (`on_conflict="attach"`); nothing
    of the instance changes
two starts in one batch | work.EnqueueOutcome.EXISTS | the first wins, the second is told
work item that cannot be decoded | dispatch.commits.abandonment, errors.PayloadError | the run is
    Blocked as `UndecodableHistory`, with its bytes kept, and goes on when the code can read them
"""

TABLES = (
    Table.of(
        "The envelope of an event",
        _ENVELOPE,
        "The history is stored as records (`records.Record`): a message as it arrived, or one turn "
        "with all it decided. What users read are events, a view of the records.",
    ),
    Table.of("Kinds of events", _EVENTS),
    Table.of("Why something open was given up", _BREADCRUMBS),
    Table.of("What a turn may decide", _DECISIONS),
    Table.of("Work items", _WORK),
    Table.of("Strays", _STRAYS),
)
