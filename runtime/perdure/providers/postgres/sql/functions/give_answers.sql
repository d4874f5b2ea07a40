-- Answers questions; what is answered, expired or forgotten already is left as it is. Returns the
-- instances that were asked.
create or replace function give_answers_v1(
  p_ids text[], p_results text[], p_failures text[], p_now timestamptz default null
) returns text[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_instances text[];
begin
  perform set_config('synchronous_commit', 'off', true);
  with given as (
    update question q
       set result = u.result, failure = u.failure, due = 'infinity'
      from unnest(p_ids, p_results, p_failures) u(id, result, failure)
     cross join lateral (
       select o.ctid as tid from question o
        where o.id = u.id and o.result is null and o.failure is null and (o.expires - v_now) > interval '0'
          for update
     ) k
     where q.ctid = k.tid
    returning q.instance
  )
  select coalesce(array_agg(distinct g.instance), '{}') into v_instances from given g;
  return v_instances;
end
$$;
