-- Statements of queries, of answers, and of what instances keep for others to read.

-- name: code
select coalesce(l.name, i.name), coalesce(l.version, i.version, ''),
       coalesce(l.execution, i.execution)
  from perdure_instance i
  left join perdure_live l on l.instance = i.id
 where i.id = ?

-- name: is_asked
select 1 from perdure_question where instance = ? and id = ?

-- name: count
select count(*) from (select 1 from perdure_question where instance = ? limit ?)

-- name: ask
insert into perdure_question (
  instance, id, code_name, code_version, due, expires, asked, name, input
)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: due
select asked, rowid, instance, id, name, input, expires, attempt, code_name, code_version
  from perdure_question
 where code_name = ? and code_version = ? and due <= ? and expires > ?
 order by due
 limit ?

-- name: move
update perdure_question set code_name = ?, code_version = ? where rowid = ?

-- name: give
update perdure_question set attempt = attempt + 1, due = ? where rowid = ?

-- name: answer
update perdure_question
   set result = ?, failure = ?, due = null
 where id = ? and result is null and failure is null and expires > ?
returning instance

-- name: answers
select result, failure from perdure_answer where instance = ?1 and id = ?2
 union all
select result, failure from perdure_question where instance = ?1 and id = ?2

-- name: keys
select key, value, updated from perdure_key where instance = ? order by key

-- name: key
select key, value, updated from perdure_key where instance = ? and key = ?
