-- The kinds (tag and name) of activities in the queue, of these tags and names (null: any name).
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
begin
  foreach v_tag in array p_tags loop
    v_name := null;
    loop
      if v_name is null then
        select a.name into v_name
          from activity a where a.tag = v_tag order by a.tag, a.name limit 1;
      else
        select a.name into v_name
          from activity a where a.tag = v_tag and a.name > v_name order by a.tag, a.name limit 1;
      end if;
      exit when v_name is null;
      if p_names is null or v_name = any (p_names) then
        v_kinds := v_kinds || row(v_tag, v_name)::kind_v1;
      end if;
    end loop;
  end loop;
  return v_kinds;
end
$$;
