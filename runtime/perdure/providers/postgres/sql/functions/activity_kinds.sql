-- The kinds (tag, name and priority) of activities without a session in the queue, of these tags and
-- names (null: any name), each with when its first is due.
--
-- Hops from each kind to the next in the index, so that the cost is the number of kinds and not of
-- activities.
create or replace function activity_kinds_v1(p_tags text[], p_names text[]) returns kind_v1[]
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_kinds kind_v1[] := '{}';
  v_tag text;
  v_name text;
  v_priority smallint;
  v_due timestamptz;
begin
  foreach v_tag in array p_tags loop
    select a.name, a.priority, a.due into v_name, v_priority, v_due
      from activity a
     where a.tag = v_tag and a.session is null
     order by a.tag, a.name, a.priority, a.due limit 1;
    while v_name is not null loop
      if p_names is null or v_name = any (p_names) then
        v_kinds := v_kinds || row(null, v_tag, v_name, v_priority, v_due)::kind_v1;
      end if;
      select a.name, a.priority, a.due into v_name, v_priority, v_due
        from activity a
       where a.tag = v_tag and a.session is null and (a.name, a.priority) > (v_name, v_priority)
       order by a.tag, a.name, a.priority, a.due limit 1;
    end loop;
  end loop;
  return v_kinds;
end
$$;
