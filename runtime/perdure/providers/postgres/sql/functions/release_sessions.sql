-- Lets go of all sessions of an executor; returns the tags of their due activities.
create or replace function release_sessions_v1(p_executor bigint, p_now timestamptz default null)
returns text[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  return let_go_v1(
    coalesce(p_now, clock_timestamp()),
    array(
      select s.id
        from unnest(owned_sessions_v1(p_executor)) u(id)
       cross join lateral (
         select * from session s where s.id = u.id offset 0 for update
       ) s
       where s.owner = p_executor
    )
  );
end
$$;
