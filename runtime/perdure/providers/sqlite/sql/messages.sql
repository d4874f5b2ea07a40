-- Statements of sending.

-- name: add_instance
insert into perdure_instance (
  id, tenant, name, version, parent, parent_close, watched, created, token, limit_key, attributes
)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (id) do nothing

-- name: token_of
select token from perdure_instance where id = ?

-- name: tenant_of
select tenant from perdure_instance where id = ?

-- name: has_limit
select 1 from perdure_limit where key = ?

-- name: add_live
insert into perdure_live (
  instance, name, version, next_seq, due, watched, cancelled, awaits, arrived, priority, limit_key
)
values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: add_event
insert into perdure_event (instance, seq, execution, kind, ref, body, at, source)
values (?, ?, ?, ?, ?, ?, ?, ?)

-- name: early
select kind, ref, body, token from perdure_early where instance = ? order by id

-- name: delete_early
delete from perdure_early where instance = ?

-- name: live
select next_seq, position, first_seq, execution, cancelled from perdure_live where instance = ?

-- name: is_child
select 1 from perdure_instance where id = ? and parent = ?

-- name: is_there
select 1 from perdure_event
 where instance = ? and source = ? and kind in (5, 6, 9, 10) and source is not null

-- name: wake
-- A cancelled instance need not be admitted to end, and does not count.
update perdure_live
   set next_seq = next_seq + 1, cancelled = cancelled or ?1, awaits = awaits and not ?1,
       limit_key = case when not (awaits and ?1) then limit_key end,
       due = case
         when suspended or block_reason is not null or awaits and not ?1 then null
         else max(min(coalesce(due, ?2), ?2), not_before)
       end
 where instance = ?3
returning next_seq - 1, execution

-- name: wake_execution
update perdure_live
   set next_seq = next_seq + 1,
       due = case
         when suspended or block_reason is not null or awaits then null
         else max(min(coalesce(due, ?), ?), not_before)
       end
 where instance = ? and execution = ?
returning next_seq - 1

-- name: exists
select 1 from perdure_instance where id = ?

-- name: is_early
select 1 from perdure_early
 where instance = ?1 and (token = ?2 or ?3 = 10 and kind = 10 and ref = ?4)

-- name: count_early
select count(*) from perdure_early where instance = ?

-- name: keep_early
insert into perdure_early (instance, expires, kind, token, ref, body) values (?, ?, ?, ?, ?, ?)

-- name: has_answer
select 1 from perdure_answer where instance = ? and id = ?

-- name: await_answer
insert into perdure_answer (instance, id) values (?, ?) on conflict (instance, id) do nothing

-- name: expired_early
select id from perdure_early where expires <= ? order by expires limit ?

-- name: drop_early
delete from perdure_early where id = ?

-- name: tally
insert into perdure_tally (name, count) values (?, ?)
on conflict (name) do update set count = count + excluded.count

-- name: mark_changed
insert or replace into perdure_change (instance) values (?)

-- name: announce
insert into perdure_executor (id, seen, info) values (?, ?, ?)
on conflict (id) do update set seen = excluded.seen, info = excluded.info

-- name: withdraw
delete from perdure_executor where id = ?

-- name: forget_kinds
delete from perdure_kind
 where not exists (
   select 1 from perdure_activity a where a.kind = perdure_kind.id and a.kind is not null
 )

-- name: tell
insert into perdure_news (writer, lines) values (?, ?)

-- name: forget_news
delete from perdure_news where id <= (select max(id) from perdure_news) - 1000

-- name: last_news
select coalesce(max(id), 0) from perdure_news

-- name: news
select id, writer, lines from perdure_news where id > ? order by id

-- name: forget_executors
delete from perdure_executor
 where id in (select id from perdure_executor where seen < ? limit ?)

-- name: forget_questions
delete from perdure_question
 where rowid in (select rowid from perdure_question where expires <= ? order by expires limit ?)

-- name: forget_changes
delete from perdure_change
 where position in (select position from perdure_change where gone < ? order by gone limit ?)
