"""What is asked of storage: turns, activities, leases, sessions, tags, versions, administration."""

from __future__ import annotations

from perdure.testing.semantics.rows import Table

__all__ = ["TABLES"]

_TURNS = """
fetch_orchestration_item | provider.fetch_turns, work.FetchTurns, work.LeasedTurn | many at once,
    and of each only the records that the caller does not hold; fires the timers that are due
ack_orchestration_item | provider.commit_turns, work.TurnCommit, work.CommitOutcome | many at
    once, each applied whole or not at all; the lease is checked under the row's lock; a repeated
    commit learns that it was applied
abandon_orchestration_item | provider.abandon_turns, work.AbandonTurn | the same, many at once; a
    lease that is over is ignored; `block` parks the run
renew_orchestration_item_lock | provider.renew_turns, work.RenewOutcome | many at once; tells held
    from lost instead of raising
read, read_with_execution | provider.read_history | of one execution or all, from any record on
append_with_execution | provider.bring_in | histories are written by turns and messages alone;
    finished ones can be brought in whole
enqueue_for_orchestrator | provider.enqueue, work.EnqueueOutcome | many at once; a start creates
    its instance; a delay is a timer's, not a message's
poll_timeout | provider.hints, work.FetchedTurns.next_due | no call blocks: the answer says when
    more is due, and hints wake earlier
history_error | dispatch.commits.abandonment | an undecodable history parks its run, visibly
metadata: status, output, name, version, parent | work.TurnCommit.ending, records.Ending,
    work.NewInstance | name and parent are kept at the start; Running needs no word
metadata: pinned version | work.TurnCommit.version | of the orchestration's code, with every
    commit
"""

_ACTIVITIES = """
enqueue_for_worker | work.TurnCommit.activities | only a turn's commit adds an activity
fetch_work_item | provider.fetch_activities, work.FetchActivities | many at once, of several tags;
    only those whose code the caller has
ack_work_item | provider.finish_activities, work.FinishOutcome | many at once; the result and the
    row's end are one transaction; a repeated one learns that it was recorded
ack_work_item without completion | work.ActivityDiscarded | the same
renew_work_item_lock | provider.renew_activities, work.Renewed | many at once; only "row gone or
    fenced" means lost, and a cancelled one learns the reason; a transport error is no
    cancellation
abandon_work_item | provider.abandon_activities, work.AbandonActivity | the same; a lease that is
    over is ignored
– | work.ActivityRetried, work.ActivityDeferred | tried again without a turn; finished later from
    outside by a completion token (`providers.tokens`)
– | provider.record_progress, work.ActivityProgress | how far an attempt is
– | provider.transaction, provider.enqueue_within | results and sends within a transaction of the
    same database
"""

_LEASES = """
fetch hides, ack deletes, abandon or expiry re-exposes | provider.fetch_activities | the same
visible_at apart from locked_until | work.FetchedActivities.next_due | when something is due, and
    until when it is leased, are columns apart
attempts count fetches | work.LeasedTurn.attempt, work.LeasedActivity.attempt | the same, less
    those handed back in a drain; failures that the policy counts are counted apart
maximum attempt over the batch | work.LeasedTurn.attempt | one count for the instance, set back by
    every commit
tokens unguessable and unique | model.ids.LeaseToken | 63 random bits made by whoever fetches
a token is useless after expiry | work.CommitOutcome.LOST, errors.LeaseLostError | the same,
    judged by the database's clock under the row's lock
deletion removes the lease | provider.delete_instances | the same
cancellation by row deletion | work.TurnCommit.cancel_activities, work.RenewOutcome.CANCELLED,
    work.CancelHint | a waiting row is deleted; a leased one is marked with the reason, and a hint
    makes its executor look at once
"""

_SESSIONS = """
session row: id, owner, lease, last activity | work.SessionTerms | the same
fetch with a session filter | work.FetchActivities.sessions | the same; None takes none of
    sessions
ownership is process-level | model.ids.ExecutorId | always: one id for a process
session lease apart from activity lease | ActivitySettings.sessions_lease, ActivitySettings.lease
    | the same
renew_session_lock | provider.renew_sessions | tells which sessions are still owned
cleanup_orphaned_sessions | provider.sweep | done on the way by whoever announces itself
idle sessions lapse | ActivitySettings.sessions_idle | the same
release at shutdown | provider.release_sessions | at once, where there it is the lease's end
no order inside a session | ctx.session | the same
"""

_TAGS = """
DefaultOnly | model.ids.UNTAGGED, ActivitySettings.tags | the default: those that name no tag
Tags(set) | ActivitySettings.tags, env:PERDURE_TAGS | any number of tags
DefaultAnd(set) | env:PERDURE_UNTAGGED, ActivitySettings.tags | tags and untagged ones
Any | - | not there: an executor says what it can run, and every other would be handed work that
    it may not know
None | work.FetchActivities.limit | who takes nothing does not fetch
1 to 5 tags | ActivitySettings.tags | no limit
tag length 256 bytes | model.ids.TAG_BYTES_MAX | 63 bytes, as a label of Kubernetes
tags nobody serves wait forever | model.options.ActivityOptions.queue_timeout | `queue_timeout=`
    of a call ends the wait with a failure
"""

_CAPABILITY = """
filter by ranges of the runtime's version | work.FetchTurns.code, work.CodeId | by name and
    version of the orchestrations that the replayer has: what it cannot run it is never given
no pinned version is compatible | work.LeasedTurn.version | before its first turn an instance goes
    to any replayer with a version that the start asked for
packing to major·1e6 + minor·1e3 + patch | replay.versions | versions are matched as text and
    ordered as semantic versions; no number is too large
each execution pins afresh | work.TurnCommit.version | the same
re-check and bounce after the fetch | dispatch.turns.TurnDispatcher | nothing to check: it was
    filtered before the lease
widening the range drains stuck items | client.resume | deploy code that has the version; waiting
    instances are found by it at once
"""

_READS = """
get_custom_status(instance, last seen) | provider.read_instances,
    reading.InstanceInfo.custom_status_version | one read of one row, whatever the history's
    length
version: 0, +1 per commit with a status event | reading.InstanceInfo.custom_status_version | the
    same
get_kv_value, get_kv_all_values | provider.read_keys | many instances at once; absence is no error
"""

_ADMIN = """
list_instances | provider.list_instances, reading.ListInstances | newest first, by pages; by name,
    version, prefix, parent, times, attributes too
list_instances_by_status | reading.ListInstances.statuses | several at once
list_executions | provider.read_executions | with outcome, version, times and records
read_history, read_history_with_execution_id | provider.read_history | the same
latest_execution_id | reading.InstanceInfo.execution | part of the instance
get_instance_info | provider.read_instances, reading.InstanceInfo | many at once
get_execution_info | provider.read_executions, administering.ExecutionInfo | the same
get_system_metrics | provider.read_totals, administering.Totals | with what is due, waiting and
    early
get_queue_depths | provider.read_backlog, reading.TagBacklog | by tag: what is ready and what is
    leased are told apart, future timers count in neither
get_instance_stats | provider.read_sizes, administering.InstanceSize | many at once
list_children | reading.ListInstances.parent | the same
get_parent_id | reading.InstanceInfo.parent | part of the instance
get_instance_tree | client.tree | parents before children
delete_instance, delete_instances_atomic | provider.delete_instances, administering.DeleteOutcome
    | the whole tree in one transaction, found under its locks: no orphan race to report
delete_instance_bulk | provider.retire, administering.Retire | oldest first, in batches; a tree in
    which anything runs is left alone
prune_executions | provider.prune, administering.Prune | never the last execution; both conditions
    must hold
prune_executions_bulk | client.prune_many | the same
– | provider.count_instances, provider.set_limits, provider.drop_limits, provider.read_limits,
    provider.bring_in, provider.sweep | counts, limits, archives, what has had its time
– | provider.control, work.ControlVerb | suspend, resume, terminate
– | provider.read_activities, provider.read_executors, provider.read_changes, provider.announce,
    provider.withdraw, provider.ping | what waits and runs, who is there, what changed
– | provider.ask, provider.fetch_questions, provider.answer, provider.read_answers | queries, and
    answers to updates
"""

_INTERPRETS = """
routing key of each work item | work.Message.instance | always the instance; storage looks no
    further
a timer's fire time | work.NewTimer.fire_at | a field of its own
the last custom status in a delta | work.TurnCommit.custom_status | likewise: storage never reads
    a body
KV events and terminal statuses | work.TurnCommit.keys, work.TurnCommit.ending | likewise; the map
    that replay reads is in the history, see ADR 0053
history cap | Limits.history_records | none in storage; the engine parks a run beyond it
error classification: retryable or not | errors.ProviderError, providers.postgres.errors.translate
    | by SQLSTATE and by the driver's classes, never by text
"""

TABLES = (
    Table.of(
        "Storage: turns",
        _TURNS,
        "Every verb takes and returns lists, whose items succeed or fail alone.",
    ),
    Table.of("Storage: activities", _ACTIVITIES),
    Table.of("Storage: leases, visibility, attempts", _LEASES),
    Table.of("Storage: sessions", _SESSIONS),
    Table.of("Storage: tags", _TAGS),
    Table.of("Storage: which code", _CAPABILITY),
    Table.of("Storage: custom status and keys", _READS),
    Table.of("Storage: administration", _ADMIN),
    Table.of("Storage: what it interprets", _INTERPRETS),
)
