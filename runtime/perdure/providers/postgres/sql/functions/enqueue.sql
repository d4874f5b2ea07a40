-- Adds messages, which come sorted by instance; returns their outcomes as send_v1 does.
create or replace function enqueue_v1(
  p_messages message_v1[], p_keep interval, p_inbox int, p_now timestamptz default null
) returns smallint[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  if cardinality(p_messages) <> 1 or p_messages[1].kind <> 1 then  -- a start has nothing to lock
    perform l.one
       from unnest(p_messages) m
      cross join lateral (
        select 1 as one from live l where l.instance = m.instance for no key update
      ) l
      where m.kind <> 1;
  end if;
  return send_v1(coalesce(p_now, clock_timestamp()), p_messages, p_keep, p_inbox);
end
$$;
