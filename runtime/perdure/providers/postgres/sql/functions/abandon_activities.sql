-- Hands activities back, to be tried again after their delay; leases that are over are ignored.
-- Arguments come sorted. What was cancelled goes instead. Returns the tags that have something due.
create or replace function abandon_activities_v1(
  p_leases lease_v1[], p_delays interval[], p_counts boolean[], p_now timestamptz default null
) returns text[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_tids tid[];
  v_tags text[];
begin
  select array_agg(coalesce(a.tid, '(0,0)'))
    into v_tids
    from unnest(p_leases) u
    left join lateral (
      select a.ctid as tid from activity a
       where a.instance = u.instance and a.execution = u.execution and a.op = u.op
         and a.lease = u.token and (a.due - v_now) > interval '0'
         for update
    ) a on true;
  delete from activity where ctid = any (v_tids) and cancel_reason is not null;
  with given as (
    update activity a
       set lease = 0, due = v_now + p_delays[u.ordinality],
           attempt = case when p_counts[u.ordinality] then a.attempt
                          else greatest(a.attempt - 1, 0) end
      from unnest(p_leases) with ordinality u
     where a.ctid = v_tids[u.ordinality] and a.cancel_reason is null
    returning a.tag, a.due
  )
  select array_agg(distinct g.tag) filter (where g.due <= v_now) into v_tags from given g;
  return coalesce(v_tags, '{}');
end
$$;
