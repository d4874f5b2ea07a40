-- Statements of suspending, resuming and terminating.

-- name: status
select status, parent, watched from perdure_instance where id = ?

-- name: live
select suspended, block_reason is not null, next_seq > position + 1, watched, awaits, not_before
  from perdure_live
 where instance = ?

-- name: suspend
update perdure_live set suspended = 1, due = null where instance = ?

-- name: resume
update perdure_live
   set suspended = 0, block_reason = null, block_message = null, attempt = 0, due = ?
 where instance = ?

-- name: children
select id from perdure_instance
 where parent = ? and status = 0 and parent_close <> 'abandon'
 order by created, id

-- name: link
select json_extract(e.body, '$.parent.execution'), json_extract(e.body, '$.parent.operation')
  from perdure_live l
  join perdure_event e on e.instance = l.instance and e.seq = l.first_seq
 where l.instance = ?

-- name: end_live
delete from perdure_live
 where instance = ?
returning next_seq, execution, version, cancelled, watched, limit_key

-- name: add_terminated
insert into perdure_event (instance, seq, execution, kind, body, at) values (?, ?, ?, 21, ?, ?)

-- name: end_instance
update perdure_instance
   set status = 8, finished = ?, execution = ?, length = ?,
       version = coalesce(nullif(?, ''), version), cancelled = ?, failure = ?
 where id = ?
