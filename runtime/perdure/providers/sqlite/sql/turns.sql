-- Statements of fetching, renewing and abandoning turns. Each is found by its name; places are
-- filled in order.

-- name: due_timers
select instance, execution, op from perdure_timer where due <= ? order by due, op limit ?

-- name: delete_timer
delete from perdure_timer where instance = ? and execution = ? and op = ?

-- name: expired_activities
select id, instance, execution, op, name, tag, queue_timeout, limit_key, awaits
  from perdure_activity
 where expires <= ?
 order by expires, id
 limit ?

-- name: due_live
select due, rowid, instance, execution, attempt, next_seq - 1, held and holder = ?, position,
       first_seq
  from perdure_live
 where name = ? and version = ? and due <= ? and lease_until <= ?
 order by due
 limit ?

-- name: lease_live
update perdure_live
   set lease = ?, lease_until = ?, upto = ?, attempt = attempt + 1, held = ?, holder = ?
 where rowid = ?

-- name: records
select seq, execution, kind, ref, body, at
  from perdure_event
 where instance = ? and seq > ? and seq <= ?
 order by seq

-- name: next_alarms
select (select min(due) from perdure_timer),
       (select min(expires) from perdure_activity where expires is not null),
       (select min(look_at) from perdure_limit where look_at is not null)

-- name: next_due
select due from perdure_live where name = ? and version = ? and due > ? order by due limit 1

-- name: next_lease_end
select min(lease_until) from perdure_live
 where name = ? and version = ? and due <= ? and lease_until > ?

-- name: renew
update perdure_live set lease_until = ? where instance = ? and lease = ? and lease_until > ?

-- name: leased
select rowid, suspended or block_reason is not null, watched, attempt
  from perdure_live
 where instance = ? and lease = ? and lease_until > ?

-- name: abandon
update perdure_live
   set lease = 0, lease_until = 0, attempt = ?, due = ?,
       block_reason = coalesce(?, block_reason), block_message = coalesce(?, block_message)
 where rowid = ?
