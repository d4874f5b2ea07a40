-- Keeps the sessions of an executor of which an activity was leased, renewed or finished within
-- `p_idle`, and lets go of the others. `sessions`: what it owns now; `tags`: those of due activities
-- of what it let go.
create or replace function renew_sessions_v1(
  p_executor bigint, p_lease interval, p_idle interval, p_now timestamptz default null,
  out sessions text[], out tags text[]
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_idle text[];
  v_tids tid[];
begin
  perform set_config('synchronous_commit', 'off', true);
  select array_agg(s.id order by s.id) filter (where s.is_used),
         array_agg(s.tid) filter (where s.is_used),
         array_agg(s.id) filter (where not s.is_used)
    into sessions, v_tids, v_idle
    from (
      select s.id, s.tid, s.active > v_now - p_idle as is_used
        from unnest(owned_sessions_v1(p_executor)) u(id)
       cross join lateral (
         select s.ctid as tid, s.* from session s where s.id = u.id offset 0 for update
       ) s
       where s.owner = p_executor and s.lease_until > v_now
    ) s;
  sessions := coalesce(sessions, '{}');
  update session set lease_until = v_now + p_lease where ctid = any (v_tids);
  tags := case when v_idle is null then '{}' else let_go_v1(v_now, v_idle) end;
end
$$;
