-- Statements of counting, deleting, pruning, bringing in.

-- name: last_execution
select coalesce(l.execution, i.execution), i.status, coalesce(nullif(l.version, ''), i.version),
       i.finished
  from perdure_instance i
  left join perdure_live l on l.instance = i.id
 where i.id = ?

-- name: old_executions
select execution, version, started, finished, last_seq - first_seq + 1, last_seq
  from perdure_execution
 where instance = ?
 order by execution

-- name: records_after
select min(at), count(*) from perdure_event where instance = ? and seq > ? and execution = ?

-- name: records_size
select count(*), coalesce(sum(length(cast(body as blob))), 0) from perdure_event where instance = ?

-- name: unread
select next_seq - 1 - position - (position >= first_seq) from perdure_live where instance = ?

-- name: keys_size
select count(*), coalesce(sum(length(cast(key as blob)) + length(cast(value as blob))), 0)
  from perdure_key
 where instance = ?

-- name: count_ended
select status, count(*) from perdure_instance where status > 0 group by status

-- name: count_unfinished
select case
         when block_reason is not null then 3
         when suspended then 2
         when position > 0 then 1
         else 0
       end, count(*)
  from perdure_live
 group by 1

-- name: count_records
select count(*) from perdure_event

-- name: count_due
select count(*) from perdure_live where due <= ? and lease_until <= ?

-- name: count_activities
select count(*) filter (where cancel_reason is null and (lease = 0 or due is null or due <= ?1)),
       count(*) filter (where lease <> 0 and due > ?1)
  from perdure_activity

-- name: count_timers
select count(*) from perdure_timer

-- name: count_early
select count(*) from perdure_early

-- name: tallies
select name, count from perdure_tally order by name

-- name: parent
select parent from perdure_instance where id = ?

-- name: children
select id from perdure_instance where parent = ?

-- name: is_live
select 1 from perdure_live where instance = ?

-- name: leased_activities
select count(*) from perdure_activity where instance = ? and lease <> 0 and due > ?

-- name: limits_of
select limit_key from perdure_activity where instance = ?1 and limit_key is not null
 union
select limit_key from perdure_live where instance = ?1 and limit_key is not null

-- name: count_executions
select count(*) from perdure_event where instance = ? and kind = 1

-- name: delete_events
delete from perdure_event where instance = ?

-- name: delete_activities
delete from perdure_activity where instance = ?

-- name: delete_timers
delete from perdure_timer where instance = ?

-- name: delete_keys
delete from perdure_key where instance = ?

-- name: delete_answers
delete from perdure_answer where instance = ?

-- name: delete_questions
delete from perdure_question where instance = ?

-- name: delete_executions
delete from perdure_execution where instance = ?

-- name: delete_live
delete from perdure_live where instance = ?

-- name: delete_instance
delete from perdure_instance where id = ?

-- name: is_in_feed
select 1 from perdure_change where instance = ?

-- name: mark_gone
insert or replace into perdure_change (instance, gone) values (?, ?)

-- name: ended
select finished, id, status, tenant, name, parent
  from perdure_instance
 where finished < ? and (finished, id) > (?, ?)
 order by finished, id
 limit ?

-- name: exists
select 1 from perdure_instance where id = ?

-- name: prunable
select execution, first_seq, last_seq
  from perdure_execution
 where instance = ? and execution <= ? and (?3 is null or finished < ?3)
 order by execution
 limit ?

-- name: prune_events
delete from perdure_event where instance = ? and seq between ? and ?

-- name: prune_execution
delete from perdure_execution where instance = ? and execution = ?

-- name: bring_in
insert into perdure_instance (
  id, tenant, name, version, parent, status, created, finished, execution, length, cancelled,
  custom_version, attributes, custom_status, output, failure, limit_key
)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id) do nothing

-- name: bring_in_event
insert into perdure_event (instance, seq, execution, kind, ref, body, at)
values (?, ?, ?, ?, ?, ?, ?)

-- name: bring_in_executions
insert into perdure_execution (
  instance, execution, first_seq, last_seq, version, started, finished
)
select instance, execution, min(seq), max(seq), null, min(at), max(at)
  from perdure_event
 where instance = ? and execution < ?
 group by instance, execution

-- name: bring_in_key
insert into perdure_key (instance, key, value, updated) values (?, ?, ?, ?)

-- name: drop_early
delete from perdure_early where instance = ?
