-- Reads the activities of these instances that wait or run, not those being cancelled.
create or replace function read_activities_v1(p_ids text[], p_now timestamptz default null)
returns table (
  instance text, op text, name text, tag text, attempt int, failures int, leased boolean,
  due timestamptz, queued timestamptz, last_failure text, details text, session text,
  priority smallint, limit_key text, awaits_limit boolean
)
language sql stable security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
  select a.instance, a.op, a.name, a.tag, a.attempt, a.failures,
         a.lease <> 0 and a.due > coalesce(p_now, clock_timestamp()),
         case when a.passage = 1 then a.queued else a.due end, a.queued, a.last_failure, a.details,
         a.session, a.priority, a.limit_key, a.passage = 1
    from unnest(p_ids) u(id)
   cross join lateral (
     select * from activity a
      where a.instance = u.id and a.cancel_reason is null
      order by a.execution, a.op
   ) a
$$;
