-- Deletes instances that have ended, with all that is theirs; a part of delete_instances and retire,
-- which hold the locks and give the whole tree, sorted.
--
-- An activity whose executor still works at it goes too: its lease is lost. What is watched stays in
-- the change feed for an hour, as gone.
create or replace function remove_tree_v1(
  p_now timestamptz, p_tree text[], out executions bigint, out records bigint
)
language plpgsql
set search_path from current
as $$
begin
  with gone as (
    delete from event
     where ctid = any (array(
             select d.tid
               from unnest(p_tree) u(id)
              cross join lateral (select d.ctid as tid from event d where d.instance = u.id offset 0) d
           ))
    returning kind
  )
  select count(*), count(*) filter (where g.kind = 1) into records, executions from gone g;
  delete from activity
   where ctid = any (array(
           select d.tid
             from unnest(p_tree) u(id)
            cross join lateral (
              select d.ctid as tid from activity d where d.instance = u.id order by d.execution, d.op
                 for update
            ) d
         ));
  delete from timer
   where ctid = any (array(
           select d.tid
             from unnest(p_tree) u(id)
            cross join lateral (
              select d.ctid as tid from timer d where d.instance = u.id for update skip locked
            ) d
         ));
  delete from key_value where instance = any (p_tree);
  delete from answer where instance = any (p_tree);
  delete from question where instance = any (p_tree);
  delete from execution where instance = any (p_tree);
  update change
     set xid = pg_current_xact_id(), gone = p_now
   where ctid = any (array(
           select d.tid
             from unnest(p_tree) u(id)
            cross join lateral (
              select d.ctid as tid from change d where d.instance = u.id for update
            ) d
         ));
  with gone as (
    delete from instance
     where ctid = any (array(
             select d.tid
               from unnest(p_tree) u(id)
              cross join lateral (select d.ctid as tid from instance d where d.id = u.id for update) d
           ))
    returning id, finished
  )
  delete from ended
   where ctid = any (array(
           select d.tid
             from gone g
            cross join lateral (
              select d.ctid as tid from ended d where d.at = g.finished and d.instance = g.id offset 0
            ) d
         ));
end
$$;
