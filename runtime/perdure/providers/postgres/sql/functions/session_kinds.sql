-- The kinds of activities of sessions, of these tags and names (null: any name), each with when its
-- first is due: those of the sessions `p_sessions`, and (`p_is_offered`) those that are offered to
-- whoever can own one more session. Hops as activity_kinds_v1 does.
create or replace function session_kinds_v1(
  p_tags text[], p_names text[], p_sessions text[], p_is_offered boolean
) returns kind_v1[]
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_kinds kind_v1[] := '{}';
  v_session text;
  v_tag text;
  v_name text;
  v_priority smallint;
  v_due timestamptz;
begin
  foreach v_session in array p_sessions loop
    select a.tag, a.name, a.priority, a.due into v_tag, v_name, v_priority, v_due
      from activity a
     where a.session = v_session
     order by a.session, a.tag, a.name, a.priority, a.due limit 1;
    while v_tag is not null loop
      if v_tag = any (p_tags) and (p_names is null or v_name = any (p_names)) then
        v_kinds := v_kinds || row(v_session, v_tag, v_name, v_priority, v_due)::kind_v1;
      end if;
      select a.tag, a.name, a.priority, a.due into v_tag, v_name, v_priority, v_due
        from activity a
       where a.session = v_session
         and (a.tag, a.name, a.priority) > (v_tag, v_name, v_priority)
       order by a.session, a.tag, a.name, a.priority, a.due limit 1;
    end loop;
  end loop;

  if not p_is_offered then
    return v_kinds;
  end if;
  foreach v_tag in array p_tags loop
    select a.name, a.priority, a.due into v_name, v_priority, v_due
      from activity a
     where a.tag = v_tag and a.session is not null and a.is_offered
     order by a.tag, a.name, a.priority, a.due limit 1;
    while v_name is not null loop
      if p_names is null or v_name = any (p_names) then
        v_kinds := v_kinds || row('', v_tag, v_name, v_priority, v_due)::kind_v1;
      end if;
      select a.name, a.priority, a.due into v_name, v_priority, v_due
        from activity a
       where a.tag = v_tag and a.session is not null and a.is_offered
         and (a.name, a.priority) > (v_name, v_priority)
       order by a.tag, a.name, a.priority, a.due limit 1;
    end loop;
  end loop;
  return v_kinds;
end
$$;
