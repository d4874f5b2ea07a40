-- Statements of the executors of activities, their sessions, and limits.

-- name: kind
select id from perdure_kind where tag = ? and name = ? and in_session = ? and priority = ?

-- name: add_kind
insert into perdure_kind (tag, name, in_session, priority) values (?, ?, ?, ?) returning id

-- name: kinds
select id, name, in_session, priority from perdure_kind where tag = ?

-- name: due
select due, id, session, cancel_reason is not null, limit_key
  from perdure_activity
 where kind = ? and due <= ?
 order by due
 limit ?

-- name: due_in_session
select due, id, priority, cancel_reason is not null, limit_key, tag, name
  from perdure_activity
 where session = ? and due <= ?
 order by due

-- name: next_due
select due from perdure_activity where kind = ? and due > ? order by due limit 1

-- name: next_due_in_session
select min(due) from perdure_activity where session = ? and due > ?

-- name: lease
update perdure_activity
   set lease = ?, due = ?, attempt = attempt + 1, started = coalesce(started, ?), expires = null
 where id = ?
returning instance, execution, op, name, tag, input, retry, timeout, attempt, failures, queued,
          started, details, priority, session, limit_key, queue_timeout, heartbeat_timeout

-- name: leased
select id, cancel_reason, session, limit_key, tag, attempt
  from perdure_activity
 where instance = ? and execution = ? and op = ? and lease = ? and due > ?

-- name: delete
delete from perdure_activity where id = ?

-- name: retry
update perdure_activity
   set lease = 0, retried = ?, failures = failures + 1, last_failure = ?, due = ?
 where id = ?

-- name: extend
update perdure_activity set due = max(due, ?) where id = ?

-- name: defer
update perdure_activity set due = ? where id = ?

-- name: hand_back
update perdure_activity set lease = 0, attempt = ?, due = ? where id = ?

-- name: was_retried
select 1 from perdure_activity
 where instance = ? and execution = ? and op = ? and retried = ?

-- name: was_recorded
select 1 from perdure_event
 where instance = ? and execution = ? and kind in (2, 3) and ref = ? and source = ?
 limit 1

-- name: progress
update perdure_activity set details = ? where id = ?

-- name: owner
select owner from perdure_session where name = ? and until > ?

-- name: own
insert into perdure_session (name, owner, until, used) values (?, ?, ?, ?)
on conflict (name) do update
  set owner = excluded.owner, until = excluded.until, used = excluded.used

-- name: owned
select name, used from perdure_session where owner = ? and until > ? order by name

-- name: all_owned
select name from perdure_session where owner = ? order by name

-- name: ended
select name from perdure_session where until <= ? order by until limit 1000

-- name: disown
delete from perdure_session where name = ?

-- name: use
update perdure_session set used = ? where name = ?

-- name: keep_owning
update perdure_session set until = ? where name = ?

-- name: next_end
select min(until) from perdure_session where owner <> ?

-- name: close_session
update perdure_activity set kind = null where session = ?

-- name: of_session
select id, tag, name, priority, due from perdure_activity where session = ?

-- name: set_kind
update perdure_activity set kind = ? where id = ?

-- name: limit
select concurrency, rate, period, next_at from perdure_limit where key = ?

-- name: limits
select key, concurrency, rate, period from perdure_limit order by key

-- name: set_limit
insert into perdure_limit (key, concurrency, rate, period) values (?, ?, ?, ?)
on conflict (key) do update
  set concurrency = excluded.concurrency, rate = excluded.rate, period = excluded.period,
      next_at = case
        when rate is excluded.rate and period = excluded.period then next_at
        else 0
      end

-- name: drop_limit
delete from perdure_limit where key = ?

-- name: admitted_activities
select count(*)
  from (select 1 from perdure_activity where limit_key = ? and awaits = 0 limit ?)

-- name: admitted_instances
select count(*) from (select 1 from perdure_live where limit_key = ? and awaits = 0 limit ?)

-- name: waiting_activities
select count(*) from perdure_activity where limit_key = ? and awaits = 1

-- name: waiting_instances
select count(*) from perdure_live where limit_key = ? and awaits = 1

-- name: first_waiting_activity
select -priority, queued, id, tag from perdure_activity
 where limit_key = ? and awaits = 1
 order by priority desc, queued, id
 limit 1

-- name: first_waiting_instance
select -priority, arrived, rowid from perdure_live
 where limit_key = ? and awaits = 1
 order by priority desc, arrived, rowid
 limit 1

-- name: admit_activity
update perdure_activity set awaits = 0, due = ? where id = ?

-- name: admit_instance
update perdure_live
   set awaits = 0, not_before = ?,
       due = case when suspended or block_reason is not null then null else ? end
 where rowid = ?

-- name: reserve
update perdure_limit set next_at = ?, look_at = ? where key = ?

-- name: limits_to_look_at
select key from perdure_limit where look_at <= ? order by look_at, key

-- name: next_look
select min(look_at) from perdure_limit where look_at is not null
