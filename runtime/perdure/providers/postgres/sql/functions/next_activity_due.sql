-- When to ask for activities of these kinds again; a part of fetch_activities. What should have been
-- done by now is held up by somebody's lock, and is tried again in a moment.
create or replace function next_activity_due_v1(
  p_now timestamptz, p_kinds kind_v1[], p_with_sessions boolean
) returns timestamptz
language plpgsql stable
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_due timestamptz;
  v_soon timestamptz := p_now + interval '20 milliseconds';
  v_next timestamptz := (select greatest(n.due, v_soon) from gate_news n order by n.due limit 1);
  v_kind kind_v1;
begin
  if p_with_sessions then
    v_next := least(v_next, (
      select greatest(s.lease_until, v_soon) from session s order by s.lease_until limit 1
    ));
  end if;
  foreach v_kind in array p_kinds loop
    if v_kind.due > p_now then
      v_due := v_kind.due;
    elsif v_kind.session is null then
      select a.due into v_due from activity a
       where a.tag = v_kind.tag and a.name = v_kind.name and a.priority = v_kind.priority
         and a.due > p_now and a.session is null
       order by a.due limit 1;
    elsif v_kind.session = '' then
      select a.due into v_due from activity a
       where a.tag = v_kind.tag and a.name = v_kind.name and a.priority = v_kind.priority
         and a.due > p_now and a.session is not null and a.is_offered
       order by a.due limit 1;
    else
      select a.due into v_due from activity a
       where a.session = v_kind.session and a.tag = v_kind.tag and a.name = v_kind.name
         and a.priority = v_kind.priority and a.due > p_now
       order by a.due limit 1;
    end if;
    v_next := least(v_next, nullif(v_due, 'infinity'));
  end loop;
  return v_next;
end
$$;
