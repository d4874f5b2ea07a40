-- Deletes the records of executions of one instance that have ended, but of the last `p_keep` of all,
-- the current one among them; `p_before` (null: none) is when they must have ended. Null for both when
-- there is no such instance. The turn in flight is of the current one and knows nothing of it.
create or replace function prune_v1(
  p_instance text, p_keep int, p_before timestamptz, p_limit int, out executions int, out records bigint
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_current int;
begin
  select coalesce(l.execution, i.execution) into v_current
    from instance i
    left join lateral (select l.execution from live l where l.instance = i.id offset 0) l on true
   where i.id = p_instance and i.status >= 0;
  if not found then
    return;
  end if;
  with gone as (
    delete from execution
     where ctid = any (array(
             select e.ctid from execution e
              where e.instance = p_instance and e.execution <= v_current - p_keep
                and (p_before is null or e.finished < p_before)
              order by e.execution limit p_limit
                for update skip locked
           ))
    returning first_seq, last_seq
  ), dropped as (
    delete from event
     where ctid = any (array(
             select d.tid
               from gone g
              cross join lateral (
                select d.ctid as tid from event d
                 where d.instance = p_instance and d.seq between g.first_seq and g.last_seq
                offset 0
              ) d
           ))
    returning 1
  )
  select (select count(*) from gone), (select count(*) from dropped) into executions, records;
end
$$;
