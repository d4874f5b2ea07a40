-- Statements of cancelling.

-- name: delete_timers
delete from perdure_timer where instance = ?

-- name: activity
select id, lease <> 0 and due > ?, limit_key
  from perdure_activity
 where instance = ? and execution = ? and op = ?

-- name: activities
select id, lease <> 0 and due > ?, limit_key
  from perdure_activity
 where instance = ? and cancel_reason is null

-- name: delete_activity
delete from perdure_activity where id = ?

-- name: cancel_activity
update perdure_activity set cancel_reason = coalesce(cancel_reason, ?) where id = ?

-- name: answer_late
update perdure_answer set failure = ? where instance = ? and result is null and failure is null
