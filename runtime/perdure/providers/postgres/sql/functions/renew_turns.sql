-- Extends leases of turns, which come sorted; true for each that is still held.
create or replace function renew_turns_v1(
  p_leases lease_v1[], p_lease interval, p_now timestamptz default null
) returns boolean[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_held boolean[];
  v_tids tid[];
begin
  select array_agg(l.tid is not null), array_agg(l.tid) filter (where l.tid is not null)
    into v_held, v_tids
    from unnest(p_leases) u
    left join lateral (
      select l.ctid as tid from live l
       where l.instance = u.instance and l.lease = u.token and l.lease_until > v_now
         for no key update
    ) l on true;
  update live set lease_until = v_now + p_lease where ctid = any (v_tids);
  return v_held;
end
$$;
