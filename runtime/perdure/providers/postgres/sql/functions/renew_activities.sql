-- Extends leases of activities, which come sorted. One row each, in their order: whether it is
-- held, and the reason if its result is no longer wanted (the lease of such a one goes on too, so
-- that nobody takes what is being stopped). A lease that is longer stays: of a deferred one.
create or replace function renew_activities_v1(
  p_leases lease_v1[], p_lease interval, p_now timestamptz default null
) returns table (is_held boolean, reason text)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_held boolean[];
  v_tids tid[];
  v_reasons text[];
  v_sessions text[];
begin
  select array_agg(a.tid is not null), array_agg(a.cancel_reason),
         array_agg(a.tid) filter (where a.tid is not null),
         array_agg(a.session) filter (where a.session is not null)
    into v_held, v_reasons, v_tids, v_sessions
    from unnest(p_leases) u
    left join lateral (
      select a.ctid as tid, a.cancel_reason, a.session from activity a
       where a.instance = u.instance and a.execution = u.execution and a.op = u.op
         and a.lease = u.token and (a.due - v_now) > interval '0'
         for no key update
    ) a on true;
  update activity set due = greatest(due, v_now + p_lease) where ctid = any (v_tids);
  if v_sessions is not null then
    perform touch_sessions_v1(v_now, v_sessions);
  end if;
  return query select * from unnest(v_held, v_reasons);
end
$$;
