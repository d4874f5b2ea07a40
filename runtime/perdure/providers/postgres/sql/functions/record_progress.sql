-- Keeps what leased activities, which come sorted, tell of themselves. One row each, in their order,
-- as renew_activities_v1 has them; no lease is extended.
create or replace function record_progress_v1(
  p_leases lease_v1[], p_details text[], p_now timestamptz default null
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
begin
  perform set_config('synchronous_commit', 'off', true);
  select array_agg(a.tid is not null), array_agg(a.cancel_reason),
         array_agg(coalesce(a.tid, '(0,0)'))
    into v_held, v_reasons, v_tids
    from unnest(p_leases) u
    left join lateral (
      select a.ctid as tid, a.cancel_reason from activity a
       where a.instance = u.instance and a.execution = u.execution and a.op = u.op
         and a.lease = u.token and (a.due - v_now) > interval '0'
         for no key update
    ) a on true;
  update activity a
     set details = u.details
    from unnest(v_tids, p_details) u(tid, details)
   where a.ctid = u.tid;
  return query select * from unnest(v_held, v_reasons);
end
$$;
