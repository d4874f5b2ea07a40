-- Reads the executions of an instance that are kept, oldest first. `outcome`: null while it goes on, 1
-- continued as new, or that of the instance.
create or replace function read_executions_v1(p_instance text)
returns table (
  execution int, outcome smallint, version text, started timestamptz, finished timestamptz,
  records int
)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_row record;
  v_last execution;
begin
  select coalesce(l.execution, i.execution) as execution, nullif(i.status, 0) as outcome,
         coalesce(nullif(l.version, ''), i.version) as version, i.created, i.finished,
         coalesce(l.next_seq - 1, i.length) as length
    into v_row
    from instance i
    left join lateral (select l.* from live l where l.instance = i.id offset 0) l on true
   where i.id = p_instance and i.status >= 0;
  if not found then
    return;
  end if;
  return query
    select e.execution, 1::smallint, e.version, e.started, e.finished, e.last_seq - e.first_seq + 1
      from execution e
     where e.instance = p_instance and e.execution < v_row.execution
     order by e.execution;
  -- The first record of the current one follows the last of the one before.
  select e.* into v_last
    from execution e
   where e.instance = p_instance and e.execution = v_row.execution - 1;
  if found then
    return query
      select v_row.execution, v_row.outcome, v_row.version, v_last.finished, v_row.finished,
             v_row.length - v_last.last_seq;
  else
    return query
      select v_row.execution, v_row.outcome, v_row.version, min(e.at), v_row.finished,
             count(*)::int
        from event e
       where e.instance = p_instance and e.execution = v_row.execution;
  end if;
end
$$;
