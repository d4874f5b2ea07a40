"""What processes are told, what they do, and what they tell: options, behaviour, metrics, logs."""

from __future__ import annotations

from perdure.testing.semantics.rows import Table

__all__ = ["TABLES"]

_OPTIONS = """
dispatcher_min_poll_interval 100 ms | TurnSettings.poll, ActivitySettings.poll | 5 s: hints and
    the time of what is due next wake earlier, so an idle process asks seldom
dispatcher_long_poll_timeout 30 s | provider.hints | no call blocks
orchestration_concurrency 2 | TurnSettings.turns_per_fetch_max, TurnSettings.busy_from,
    TurnSettings.slice | one process takes turns in batches; there is nothing to set for most
worker_concurrency 2 | ActivitySettings.slots, env:PERDURE_SLOTS | 64
orchestrator_lock_timeout 5 s | TurnSettings.lease, env:PERDURE_LEASE_SECONDS | 10 s
worker_lock_timeout 30 s | ActivitySettings.lease, env:PERDURE_LEASE_SECONDS | the same
renewal buffers 2 s, 5 s | dispatch.turns.TurnDispatcher, dispatch.activities.ActivityDispatcher |
    not set: a fraction of the lease, all leases of a process in one call
observability: format, level | env:PERDURE_LOG_FORMAT, env:PERDURE_LOG_LEVEL,
    ProcessSettings.log_style, ProcessSettings.log_level | JSON or text
service name, gauge poll 60 s | ProcessSettings.name, env:PERDURE_EXECUTOR_NAME | gauges of a
    process are set as it works
unregistered_backoff 1 s to 60 s | work.FetchTurns.code | not needed: it is not fetched. What is
    unexpected is tried again after 1, 2, 4 … 60 s
max_attempts 10 | TurnSettings.attempts_max, ActivitySettings.deliveries_max | the same
activity_cancellation_grace_period 10 s | ActivitySettings.cancel_grace,
    env:PERDURE_CANCEL_GRACE_SECONDS | the same
supported_replay_versions | work.FetchTurns.code | what the process has registered
session_lock_timeout 30 s, buffer 5 s | ActivitySettings.sessions_lease,
    env:PERDURE_SESSIONS_LEASE_SECONDS | the same; no buffer to set
session_idle_timeout 300 s | ActivitySettings.sessions_idle, env:PERDURE_SESSIONS_IDLE_SECONDS |
    the same; one shorter than the leases is refused at the start, too
session cleanup interval 300 s | provider.sweep | not set: whoever announces itself sweeps a
    little
max_sessions_per_runtime 10 | ActivitySettings.sessions_max, env:PERDURE_SESSIONS_LIMIT | 100
worker_node_id | model.ids.ExecutorId | drawn by each process; its name is for people
worker_tag_filter | ActivitySettings.tags, env:PERDURE_TAGS, env:PERDURE_UNTAGGED | untagged ones
– | ActivitySettings.drain, ReplayerSettings.drain, env:PERDURE_DRAIN_SECONDS | how long a stop
    may take
– | ActivitySettings.progress | how often heartbeats are written
– | ActivitySettings.inline, TurnSettings.inline | for tests and simulations
– | TurnSettings.executions_cached_max, env:PERDURE_EXECUTIONS_CACHED | executions kept in memory
– | TurnSettings.history_bytes_max, TurnSettings.reloads_at_once, TurnSettings.turn_longest | how
    much history comes with a fetch and is read at once; when a turn is interrupted
– | model.strictness.TripwirePolicy, env:PERDURE_TRIPWIRE, TurnSettings.strictness | calls that a
    replay cannot repeat
– | ProcessSettings.database_url, ProcessSettings.schema, env:PERDURE_DATABASE_URL,
    env:PERDURE_DATABASE_URL_FILE, env:PERDURE_SCHEMA | where storage is
– | ProcessSettings.app, ProcessSettings.build, ProcessSettings.on_load_error, env:PERDURE_APP,
    env:PERDURE_BUILD, env:PERDURE_ON_LOAD_ERROR | the code
– | ProcessSettings.probe_port, ProcessSettings.needs_probes, env:PERDURE_PROBE_PORT | probes and
    metrics; whether a port that is taken is an error
– | ReplayerSettings.process, ReplayerSettings.turns, ExecutorSettings.process,
    ExecutorSettings.activities | the parts of a process's settings
"""

_BEHAVIOUR = """
N loops, each busy for its whole turn or activity | dispatch.turns.TurnDispatcher,
    dispatch.activities.ActivityDispatcher | one fetch feeds all slots; batches form by themselves
fetch errors: 100·2ⁿ ms to 3 s | providers.patience.Patience | the same ceiling, at random
    intervals
renewal stops at shutdown | dispatch.activities.ActivityDispatcher | goes on until the last result
commit failures: 5 retries, then the run fails | dispatch.commits.to_commit, work.CommitOutcome |
    the commit is repeated with its token, and learns whether it was applied; a run never fails for
    storage
any renewal error cancels the activity | work.RenewOutcome | only a lost or cancelled lease does
cancelled: token, grace, abort, no completion | ActivityContext.is_cancelled,
    ActivityContext.wait_cancelled, ActivitySettings.cancel_grace | the same; a result that comes
    in time still counts
context: instance, execution, ids, session, tag | ActivityContext.instance,
    ActivityContext.execution, ActivityContext.operation, ActivityContext.session,
    ActivityContext.tag | read from the lease
context: orchestration's name and version | - | not there: it would cost a read for every
    activity; pass what the body needs
context: a client, trace functions | ActivityContext.client, ActivityContext.logger | the same
shutdown(timeout) | executor.process, env:PERDURE_DRAIN_SECONDS | drains, hands back uncounted,
    and ends; the time is an upper bound
– | ActivityContext.attempt, ActivityContext.idempotency_key, ActivityContext.priority,
    ActivityContext.cancel_reason, ActivityContext.raise_if_cancelled | about the attempt
– | ActivityContext.heartbeat, ActivityContext.heartbeat_details, ActivityContext.defer,
    ActivityContext.is_deferred, ActivityContext.leave, ActivityContext.connection,
    ActivityContext.call | progress, finishing from outside, transactions
"""

_METRICS = """
duroxide_orchestration_starts_total | - | not there: a client's start is no event of a process
    here; `perdure_executions_ended_total` counts what ended, the table of instances what began
duroxide_orchestration_completions_total | metric:perdure_executions_ended_total | once for each
    execution, with every outcome
duroxide_orchestration_failures_total | metric:perdure_executions_ended_total |
    `outcome="Failed"`; the type is in the history, for its values are without bounds
duroxide_orchestration_duration_seconds | - | not there: runs last from milliseconds to years;
    `reading.InstanceInfo` has both times
duroxide_orchestration_history_size | metric:perdure_history_records_longest | the longest, to
    warn of
duroxide_orchestration_turns | metric:perdure_turns_total, metric:perdure_turn_seconds | by
    orchestration and what became of them
duroxide_orchestration_infrastructure_errors_total | metric:perdure_turns_total,
    metric:perdure_provider_calls_total | by outcome
duroxide_orchestration_configuration_errors_total | metric:perdure_turns_total |
    `outcome="blocked"`
duroxide_orchestration_continue_as_new_total | metric:perdure_executions_ended_total |
    `outcome="ContinuedAsNew"`, without an id among the labels
duroxide_active_orchestrations | client.count, metric:perdure_executions_cached | counted in
    storage, where all processes agree; in a process, what it keeps in memory
duroxide_orchestrator_queue_depth | client.totals | likewise
duroxide_worker_queue_depth | client.backlog | likewise, by tag; the operator scales pools by it
duroxide_activity_executions_total | metric:perdure_activities_total | by activity, tag and
    outcome
duroxide_activity_duration_seconds | metric:perdure_activity_seconds,
    metric:perdure_activity_queue_seconds | and how long they waited, by tag
duroxide_activity_infrastructure_errors_total | metric:perdure_activities_total,
    metric:perdure_leases_lost_total | by outcome
duroxide_activity_configuration_errors_total | metric:perdure_activities_total | by outcome
duroxide_orchestration_poison_total | metric:perdure_turns_total | `outcome="blocked"`
duroxide_activity_poison_total | metric:perdure_activities_total | by outcome
duroxide_suborchestration_calls_total | metric:perdure_executions_ended_total | a child's
    execution is one like any other; there it is never fed
duroxide_suborchestration_duration_seconds | - | not there: as for other runs; there it is never
    fed
duroxide_provider_operation_duration_seconds | metric:perdure_provider_call_seconds | by verb
duroxide_provider_errors_total | metric:perdure_provider_calls_total | by verb and outcome
duroxide_client_orchestration_starts_total | - | not there: a client is a library in a process of
    yours, which has metrics of its own; there it is never fed
duroxide_client_external_events_raised_total | - | likewise
duroxide_client_cancellations_total | - | likewise
duroxide_client_wait_duration_seconds | - | likewise
duroxide.orchestration.dispatcher.items_fetched | metric:perdure_turns_fetched | turns for each
    fetch
duroxide.orchestration.dispatcher.processing_duration_ms | metric:perdure_turn_seconds | in
    seconds
duroxide.worker.dispatcher.items_fetched | metric:perdure_slots_busy | the fetch fills free slots
duroxide.worker.dispatcher.execution_duration_ms | metric:perdure_activity_seconds | in seconds
– | metric:perdure_info, metric:perdure_ready, metric:perdure_draining, metric:perdure_hints_total
    | about the process
– | metric:perdure_turn_threads_given_up, metric:perdure_execution_lookups_total,
    metric:perdure_questions_total | about turns and queries
– | metric:perdure_slots, metric:perdure_sessions | about executors
"""

_LOGS = """
instance_id, execution_id, orchestration_name, orchestration_version | telemetry.logs.FIELDS | the
    same
activity_name, activity_id, activity_tag | telemetry.logs.FIELDS | the same
worker_id | telemetry.logs.JsonFormatter | `executor`
error_type, error | telemetry.logs.FIELDS | `error`: the type and the line; texts stay in the
    history
history_events | ctx.history_length | in the message of the warning
targets | telemetry.logs.configure_logging | the logger's name is the module's, for user code its
    own
formats JSON, pretty, compact | telemetry.logs.TextFormatter, telemetry.logs.JsonFormatter | JSON,
    text
"""

TABLES = (
    Table.of("Options", _OPTIONS),
    Table.of("What a process does", _BEHAVIOUR),
    Table.of("Metrics", _METRICS, "No label of ours holds an id."),
    Table.of("Logs", _LOGS),
)
