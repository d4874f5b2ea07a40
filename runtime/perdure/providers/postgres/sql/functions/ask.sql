-- Asks questions; one outcome for each: 1 accepted, now or by an earlier call with the same id, 4 there
-- is no such instance, 5 too many of this instance are open.
--
-- A question is found by the code that can answer it: that of the current execution.
create or replace function ask_v1(
  p_instances text[], p_ids text[], p_names text[], p_inputs text[], p_withins interval[],
  p_open_max int, p_now timestamptz default null
) returns smallint[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_outcomes smallint[];
begin
  -- Nobody needs a question after a crash: it does not wait for the disk.
  perform set_config('synchronous_commit', 'off', true);
  with asked as (
    select u.*, i.name as code_name, i.version as code_version,
           case
             when i.id is null then 4
             when (select count(*) from (
                     select from question q where q.instance = u.instance limit p_open_max
                   ) n) >= p_open_max
                  and (
                    select true from question q
                     where q.instance = u.instance and q.id = u.id limit 1
                  ) is null then 5
             else 1
           end::smallint as outcome
      from unnest(p_instances, p_ids, p_names, p_inputs, p_withins)
             with ordinality u(instance, id, name, input, within, ord)
      left join lateral (
        select i.id, coalesce(l.name, i.name) as name,
               coalesce(l.version, i.version, '') as version
          from instance i
          left join lateral (select l.* from live l where l.instance = i.id offset 0) l on true
         where i.id = u.instance and i.status >= 0
        offset 0
      ) i on true
  ), added as (
    insert into question (
      instance, id, code_name, code_version, name, input, asked, due, expires
    )
    select a.instance, a.id, a.code_name, a.code_version, a.name, a.input, v_now, v_now,
           v_now + a.within
      from asked a
     where a.outcome = 1
     order by a.instance collate "C", a.id collate "C"
    on conflict do nothing
  )
  select array_agg(a.outcome order by a.ord) into v_outcomes from asked a;
  return v_outcomes;
end
$$;
