"""Every name of the seed's context and client, and how it is spelled here by choice.

A row is `its name | the usual spelling | the difference`. The name itself is a method here too,
under `ctx` or `client`; a test holds that.
"""

from __future__ import annotations

from perdure.testing.semantics.rows import Row, Table

__all__ = ["CLIENT", "CONTEXT", "TABLES"]

_CONTEXT = """
instance_id | ctx.instance_id | the same
execution_id | ctx.execution | the same
orchestration_name | ctx.name | the same
orchestration_version | ctx.version | the same
is_replaying | ctx.is_replaying | the same
is_logging_enabled | not ctx.is_replaying | the same
schedule_activity | charge(order) | calling schedules; by name its arguments are a mapping
schedule_activity_typed | charge(order) | types come from the definition, or by `result_type=`
schedule_activity_on_session | charge.options(session=session)(order) | composes with every other
    option
schedule_activity_on_session_typed | charge.options(session=session)(order) | the same
schedule_activity_with_retry | charge.options(retry=Retry(5))(order) | under its own name each
    attempt is a call and a timed-out one ends it; by the option there is no turn between attempts
schedule_activity_with_retry_typed | charge.options(retry=Retry(5))(order) | the same
schedule_activity_with_retry_on_session | charge.options(retry=Retry(5), session=session)(order) |
    the same
schedule_activity_with_retry_on_session_typed | charge.options(retry=Retry(5),
    session=session)(order) | the same
schedule_timer | asyncio.sleep(3600) | `asyncio.timeout` and `wait_for` are durable too
schedule_wait | ctx.wait_event("approved") | which also takes what came before it
schedule_wait_typed | ctx.wait_event("approved", bool) | the same
schedule_wait_persistent | ctx.queue("inbox").get() | the old name of `dequeue_event`
schedule_wait_persistent_typed | ctx.queue("inbox", Order).get() | the same
dequeue_event | ctx.queue("inbox").get() | `async for` takes one after another
dequeue_event_typed | ctx.queue("inbox", Order).get() | the same
schedule_sub_orchestration | child(order) | calling starts it
schedule_sub_orchestration_typed | child(order) | the same
schedule_sub_orchestration_with_id | child.options(instance_id="order-17")(order) | the same
schedule_sub_orchestration_with_id_typed | child.options(instance_id="order-17")(order) | the same
schedule_sub_orchestration_versioned | child.options(version="1.2.0")(order) | the same
schedule_sub_orchestration_versioned_with_id | child.options(version="1.2.0",
    instance_id="order-17")(order) | the same
schedule_orchestration | child.options(instance_id="order-17").start_detached(order) | returns the
    id
schedule_orchestration_typed | child.options(instance_id="order-17").start_detached(order) | the
    same
schedule_orchestration_versioned | child.options(version="1.2.0").start_detached(order) | the same
schedule_orchestration_versioned_typed | child.options(version="1.2.0").start_detached(order) |
    the same
continue_as_new | ctx.continue_as_new(order) | await it; takes the orchestration's own arguments
continue_as_new_typed | ctx.continue_as_new(order) | the same
continue_as_new_versioned | ctx.continue_as_new(order, version="1.2.0") | the same
select2 | asyncio.wait(..., return_when=FIRST_COMPLETED) | `select2` also cancels the loser
select3 | asyncio.wait(..., return_when=FIRST_COMPLETED) | the same; `ctx.select` takes any number
join | asyncio.gather(..., return_exceptions=True) | `TaskGroup` and plain `gather` fail fast
join2 | asyncio.gather(first, second, return_exceptions=True) | the same
join3 | asyncio.gather(first, second, third, return_exceptions=True) | the same
new_guid | ctx.uuid4() | not awaited
utc_now | ctx.now() | not awaited; the turn's recorded time
set_custom_status | ctx.status = "packing" | any JSON value
get_custom_status | ctx.status | the same
reset_custom_status | del ctx.status | the same
set_kv_value | ctx.kv["seen"] = 3 | any JSON value
set_kv_value_typed | ctx.kv.typed(Order)["last"] = order | the same
get_kv_value | ctx.kv.get("seen") | the same
get_kv_value_typed | ctx.kv.typed(Order).get("last") | the same
get_kv_all_values | dict(ctx.kv) | in the order in which keys were first set
get_kv_all_keys | list(ctx.kv) | likewise
get_kv_length | len(ctx.kv) | the same
clear_kv_value | ctx.kv.pop("seen", None) | the same
clear_all_kv_values | ctx.kv.clear() | the same
prune_kv_values_updated_before | ctx.kv.prune(before) | takes a date
get_kv_value_from_instance | ctx.kv_of("order-17").get("seen") | the same
get_kv_value_from_instance_typed | ctx.kv_of("order-17").get("last", Order) | the same
trace | ctx.logger.log(level, message) | the same
trace_debug | ctx.logger.debug(message) | the same
trace_info | ctx.logger.info(message) | the same
trace_warn | ctx.logger.warning(message) | the same
trace_error | ctx.logger.error(message) | the same
"""

_CLIENT = """
start_orchestration | client.start(checkout, order, instance_id="order-17") | under its own name
    an id that is taken is success, as it was there; `start` refuses it, or attaches
start_orchestration_versioned | client.start(checkout.options(version="1.2.0"), order) | likewise
start_orchestration_typed | client.start(checkout, order) | types come from the definition
start_orchestration_versioned_typed | client.start(checkout.options(version="1.2.0"), order) |
    likewise
raise_event | client.raise_event("order-17", "approved", True) | kept for an instance that is not
    there yet, refused by one that has ended
raise_event_typed | client.raise_event("order-17", "approved", True) | the same
enqueue_event | client.enqueue_event("order-17", "inbox", order) | likewise
enqueue_event_typed | client.enqueue_event("order-17", "inbox", order) | the same
raise_event_persistent | client.enqueue_event("order-17", "inbox", order) | its old name
cancel_instance | client.cancel("order-17", "sold out") | the same
get_orchestration_status | client.get("order-17") | one row, whatever the history's length; under
    its own name None where there is none, `get` raises
wait_for_orchestration | client.wait_ended("order-17") | woken by a hint; under its own name with
    a time
wait_for_orchestration_typed | handle.result(timeout=30) | raises `OrchestrationError` where it
    failed
wait_for_status_change | client.wait_status_change("order-17", version) | the same
get_kv_value | client.get_key("order-17", "seen") | the same
get_kv_value_typed | client.get_key("order-17", "last", Order) | the same
get_kv_all_values | client.get_keys("order-17") | the same
wait_for_kv_value | client.wait_key("order-17", "seen") | the same
wait_for_kv_value_typed | client.wait_key("order-17", "last", Order) | the same
has_management_capability | True | every provider can
list_all_instances | client.list() | an asynchronous iterator, by pages, with conditions
list_instances_by_status | client.list(statuses=["Failed"]) | likewise
get_instance_info | client.get("order-17") | the same
get_execution_info | client.executions("order-17") | all that are kept
list_executions | client.executions("order-17") | likewise
read_execution_history | client.history("order-17", execution=2) | the same
get_system_metrics | client.totals() | the same
get_queue_depths | client.backlog() | by tag
get_instance_tree | client.tree("order-17") | parents before children
delete_instance | client.delete("order-17") | the same
delete_instance_bulk | client.retire(older_than=timedelta(days=30)) | in batches, whole trees that
    have ended
prune_executions | client.prune("order-17", keep_last=3) | the same
prune_executions_bulk | client.prune_many(keep_last=3, name="poll") | the same
get_orchestration_stats | client.size("order-17") | the same
"""

_OURS_CONTEXT = """
– | ctx.wait_event, ctx.queue, ctx.select | events that count from before; queues to iterate; any
    number
– | ctx.kv, ctx.kv_of, ctx.status, ctx.attributes, ctx.set_attributes | state as mappings and
    properties
– | ctx.now, ctx.uuid4, ctx.random | time and chance
– | ctx.query, ctx.update, ctx.unfinished_updates | questions and requests from outside
– | ctx.step | quick calls within the turn
– | ctx.saga, ctx.session | scopes that take back, and that keep to one executor
– | ctx.patched, ctx.deprecate_patch | edits in flight
– | ctx.execution, ctx.name, ctx.version, ctx.cancel_reason, ctx.deadline, ctx.priority,
    ctx.history_length, ctx.should_continue_as_new | about itself
– | ctx.logger, ctx.engine | logging; the turn underneath, which is no author's business
get_system_stats | - | not there: it answers none in every case; `ctx.history_length` and
    `client.size` tell what it was to tell
"""

_OURS_CLIENT = """
– | client.connect, client.close, client.get_handle | connecting, and a handle on an instance
– | client.start, client.start_many, client.start_named | with `connection=` within a transaction
– | client.cancel, client.terminate, client.suspend, client.resume, client.bulk | steering one or
    many
– | client.query, client.update, client.update_result | questions and requests with an answer
– | client.get, client.list, client.list_page, client.count, client.history, client.watch,
    client.wait_ended, client.wait_status_change | reading
– | client.get_key, client.get_keys, client.wait_key | keys
– | client.executions, client.size, client.totals, client.backlog, client.tree | measuring
– | client.delete, client.retire, client.prune, client.prune_many | getting rid
– | client.set_limit, client.drop_limit, client.limits | limits of a key
– | client.archive, client.export, client.bring_in | carrying elsewhere
– | client.complete_activity, client.fail_activity, client.extend_activity | finishing activities
    from outside
"""

CONTEXT = Table.of("On the context", _CONTEXT, spelled=True)
CLIENT = Table.of("On the client", _CLIENT, spelled=True)
"""The second cell of a row is code: the usual spelling."""


def _own(table: Table, owner: str, title: str, more: str) -> Table:
    rows = tuple(Row(row.seed, (f"{owner}.{row.seed}",), row.difference) for row in table.rows)
    before = "Under its own name; the usual spelling is in [seed-names.md](seed-names.md)."
    return Table(title, rows + Table.of(title, more).rows, before)


TABLES = (
    _own(CONTEXT, "ctx", "Methods of the context", _OURS_CONTEXT),
    _own(CLIENT, "client", "Methods of the client", _OURS_CLIENT),
)
