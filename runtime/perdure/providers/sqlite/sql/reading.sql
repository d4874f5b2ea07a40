-- Statements that read.

-- name: instance
select i.id, i.tenant, i.name, coalesce(nullif(l.version, ''), i.version),
       coalesce(l.execution, i.execution),
       case
         when l.instance is null then i.status
         when l.block_reason is not null then 3
         when l.suspended then 2
         when l.position > 0 then 1
         else 0
       end,
       i.created, i.finished, i.parent, i.output, i.failure, i.custom_status, i.custom_version,
       l.block_reason, l.block_message, coalesce(l.next_seq - 1, i.length),
       coalesce(l.cancelled, i.cancelled), i.attributes, i.limit_key, coalesce(l.awaits, 0)

-- name: of_all
from perdure_instance i
left join perdure_live l on l.instance = i.id
where

-- name: of_unfinished
from perdure_live l
cross join perdure_instance i on i.id = l.instance
where

-- name: count
select case
         when l.instance is null then i.status
         when l.block_reason is not null then 3
         when l.suspended then 2
         when l.position > 0 then 1
         else 0
       end, count(*)

-- name: by_any
true

-- name: by_code
group by 1

-- name: by_id
i.id = ?

-- name: by_page
(i.created, i.id) < (?, ?)

-- name: by_tenant
i.tenant = ?

-- name: by_name
i.name = ?

-- name: by_prefix
instr(i.id, ?) = 1

-- name: by_parent
i.parent = ?

-- name: by_root
i.parent is null

-- name: by_version
coalesce(nullif(l.version, ''), i.version) = ?

-- name: by_created_after
i.created >= ?

-- name: by_created_before
i.created < ?

-- name: by_finished_after
i.finished >= ?

-- name: by_finished_before
i.finished < ?

-- name: by_phase
case
  when l.instance is null then i.status
  when l.block_reason is not null then 3
  when l.suspended then 2
  when l.position > 0 then 1
  else 0
end in (select value from json_each(?))

-- name: by_attributes
i.attributes is not null and not exists (
  select 1 from json_each(?) w
   where not exists (
     select 1 from json_each(i.attributes) a
      where a.key = w.key and a.atom = w.atom
        and (a.type = w.type or a.type in ('integer', 'real') and w.type in ('integer', 'real'))
   )
)

-- name: newest_first
order by i.created desc, i.id desc limit ?

-- name: history
select seq, execution, kind, ref, body, at
  from perdure_event
 where instance = ? and seq > ?
 order by seq
 limit ?

-- name: history_of_execution
select seq, execution, kind, ref, body, at
  from perdure_event
 where instance = ? and seq > ? and execution = ?
 order by seq
 limit ?

-- name: activities
select instance, op, name, tag, attempt, failures, lease <> 0 and due > ?, due, queued, last_failure,
       details, session, priority, limit_key, awaits
  from perdure_activity
 where instance = ? and cancel_reason is null
 order by execution, op

-- name: backlog
select tag,
       count(*) filter (where cancel_reason is null and due <= ?1),
       count(*) filter (where lease <> 0 and due > ?1),
       ?1 - min(due) filter (where cancel_reason is null and due <= ?1)
  from perdure_activity
 group by tag
 order by tag

-- name: executors
select id, seen, info from perdure_executor where seen > ?

-- name: changes
select position, instance from perdure_change where position > ? order by position limit ?

-- name: version
select version from perdure_schema
