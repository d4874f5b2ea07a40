-- Statements of committing turns.

-- name: leased
select rowid, next_seq, upto, position, watched, first_seq
  from perdure_live
 where instance = ? and lease = ? and lease_until > ?

-- name: was_committed
select 1 from perdure_event where instance = ? and kind in (1, 20) and source = ? limit 1

-- name: add_turn
insert into perdure_event (instance, seq, execution, kind, body, at, source)
values (?, ?, ?, 20, ?, ?, ?)

-- name: go_on
update perdure_live
   set next_seq = next_seq + 1, position = upto, lease = 0, lease_until = 0, held = 1, attempt = 0,
       version = ?,
       due = case when suspended or block_reason is not null then null else ? end
 where rowid = ?

-- name: set_status
update perdure_instance
   set custom_status = ?, custom_version = custom_version + 1
 where id = ?

-- name: add_activity
insert into perdure_activity (
  instance, execution, op, tag, name, kind, due, queued, timeout, input, retry
)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_optional_activity
insert into perdure_activity (
  instance, execution, op, tag, name, kind, due, queued, timeout, input, retry,
  priority, awaits, expires, queue_timeout, heartbeat_timeout, session, limit_key
)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_timer
insert into perdure_timer (instance, execution, op, due) values (?, ?, ?, ?)

-- name: delete_timer
delete from perdure_timer where instance = ? and execution = ? and op = ?

-- name: move_late
update perdure_event
   set seq = ?, execution = ?
 where instance = ? and seq = ?

-- name: late
select seq, kind from perdure_event
 where instance = ? and seq > ? and seq < ? and kind in (5, 6, 9, 10)
 order by seq desc

-- name: started_at
select at from perdure_event where instance = ? and seq = ?

-- name: keep_execution
insert into perdure_execution (
  instance, execution, first_seq, last_seq, version, started, finished
)
values (?, ?, ?, ?, ?, ?, ?)

-- name: continue
update perdure_live
   set next_seq = ?, execution = ?, first_seq = ?, position = ?, lease = 0, lease_until = 0,
       held = 0, attempt = 0, name = ?, version = ?, cancelled = ?,
       due = case when suspended or block_reason is not null then null else ? end
 where rowid = ?

-- name: rename
update perdure_instance set name = ? where id = ? and name <> ?

-- name: end_live
delete from perdure_live where rowid = ? returning cancelled, limit_key

-- name: end_instance
update perdure_instance
   set status = ?, finished = ?, execution = ?, length = ?, version = ?, cancelled = ?, output = ?,
       failure = ?
 where id = ?

-- name: clear_keys
delete from perdure_key where instance = ?

-- name: clear_key
delete from perdure_key where instance = ? and key = ?

-- name: set_key
insert into perdure_key (instance, key, value, updated) values (?, ?, ?, ?)
on conflict (instance, key) do update set value = excluded.value, updated = excluded.updated

-- name: attributes
select attributes from perdure_instance where id = ?

-- name: set_attributes
update perdure_instance set attributes = ? where id = ?

-- name: answer_update
insert into perdure_answer (instance, id, result, failure) values (?, ?, ?, ?)
on conflict (instance, id) do update
  set result = excluded.result, failure = excluded.failure
  where perdure_answer.result is null and perdure_answer.failure is null

-- name: parent_of
select parent from perdure_instance where id = ?
