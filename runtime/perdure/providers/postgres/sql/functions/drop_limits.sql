-- Lifts limits. Whoever fetches next lets through what waits for them, and so does `settle_limits_v1`
-- here; what was counted is counted anew if the limit is ever set again.
create or replace function drop_limits_v1(
  p_keys text[], p_now timestamptz default null, out tags text[], out has_turns boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_key text;
  v_tags text[];
  v_has_turns boolean;
begin
  tags := '{}';
  has_turns := false;
  for v_key in select distinct u.k collate "C" from unnest(p_keys) u(k) order by 1 loop
    delete from gate g where g.limit_key = v_key;
    select a.tags, a.has_turns into v_tags, v_has_turns from admit_v1(v_now, v_key) a;
    tags := tags || v_tags;
    has_turns := has_turns or v_has_turns;
  end loop;
end
$$;
