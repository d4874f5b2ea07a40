-- Admits what waits for limits of which there is news; a part of fetching. `tags`: of activities that
-- were admitted; `has_turns`: some instance was.
--
-- Gates are locked in the order of their keys, and whoever holds one waits for no other row.
create or replace function settle_limits_v1(
  p_now timestamptz, out tags text[], out has_turns boolean
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_key text;
  v_tags text[];
  v_has_turns boolean;
begin
  tags := '{}';
  has_turns := false;
  for v_key in
    select distinct n.limit_key
      from (
        select n.limit_key from gate_news n where n.due <= p_now order by n.due limit 1000
      ) n
     order by 1
  loop
    select a.tags, a.has_turns into v_tags, v_has_turns from admit_v1(p_now, v_key) a;
    tags := tags || v_tags;
    has_turns := has_turns or v_has_turns;
  end loop;
end
$$;
