-- What a simulated world looks at, past the verbs of the provider, which might hide what they did.

-- name: asleep
select instance from perdure_live
 where due is null and lease_until <= ? and not suspended and block_reason is null and not awaits
   and next_seq - 1 - position - (position >= first_seq) > 0

-- name: blocked
select instance, block_reason, block_message from perdure_live where block_reason not null

-- name: new
select rowid, instance, execution, kind, ref from perdure_event where rowid > ? order by rowid

-- name: ended
select i.id, i.length, count(e.seq), min(e.seq), max(e.seq)
  from perdure_instance i join perdure_event e on e.instance = i.id
 where i.status >= 5
 group by i.id

-- name: going_on
select l.instance, l.next_seq, max(e.seq)
  from perdure_live l join perdure_event e on e.instance = l.instance
 group by l.instance
having max(e.seq) <> l.next_seq - 1

-- name: held_turn
select 1 from perdure_live where instance = ? and lease = ? and lease_until > ?

-- name: held_activity
select 1 from perdure_activity where instance = ? and op = ? and lease = ? and due > ?

-- name: live_row
select execution, position, next_seq, lease, suspended from perdure_live where instance = ?

-- name: count_records
select count(*) from perdure_event where instance = ?

-- name: wanted_activities
-- What was cancelled goes with the answer that nobody wants.
select count(*), total(lease) from perdure_activity where instance = ? and cancel_reason is null

-- name: count_timers
select count(*) from perdure_timer where instance = ?

-- name: status
select status from perdure_instance where id = ?

-- name: outlived
select c.id, p.id
  from perdure_instance c join perdure_instance p on p.id = c.parent
 where p.status = 8 and (c.finished > p.finished or c.status <> 8 and c.finished = p.finished)

-- name: left_over
select (select count(*) from perdure_live), (select count(*) from perdure_timer),
       (select count(*) from perdure_early)

-- name: whole_history
select instance, seq, execution, kind, at, source, ref, body from perdure_event order by rowid

-- name: busy
select 1 from perdure_live where instance = ? and lease_until > ?
