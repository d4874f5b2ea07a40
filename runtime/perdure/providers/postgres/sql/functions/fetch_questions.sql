-- Gives out open questions that the caller's code can answer, oldest first, for the time of a lease.
--
-- `p_names` and `p_versions` are the caller's code, as fetch_turns has them. Where the instance has
-- continued with other code since it was asked, the question moves over to that and is left to it. One
-- that was given out `p_attempts_max` times is not given out again: it probably kills who answers.
create or replace function fetch_questions_v1(
  p_names text[], p_versions text[], p_limit int, p_lease interval, p_attempts_max int,
  p_now timestamptz default null
) returns table (
  instance text, id text, name text, input text, "left" interval, execution int, code_name text,
  code_version text
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_rows tid[];
begin
  perform set_config('synchronous_commit', 'off', true);
  v_rows := array(
    select d.tid
      from (
        select d.tid, d.asked
          from unnest(p_names, p_versions) c(name, version)
         cross join lateral (
           select q.ctid as tid, q.asked from question q
            where q.code_name = c.name and q.code_version = c.version and q.due <= v_now
              and q.due < 'infinity' and (q.expires - v_now) > interval '0'
            order by q.due limit p_limit
              for update skip locked
         ) d
      ) d
     order by d.asked limit p_limit
  );
  if cardinality(v_rows) = 0 then
    return;
  end if;
  return query
    with given as (
      update question q
         set code_name = k.name, code_version = k.version,
             attempt = q.attempt + k.is_ours::int,
             due = case
               when not k.is_ours then q.due
               when q.attempt + 1 >= p_attempts_max then 'infinity'
               else v_now + p_lease
             end
        from question o
       cross join lateral (
         select coalesce(l.name, i.name) as name, coalesce(l.version, i.version, '') as version,
                coalesce(l.execution, i.execution) as execution,
                exists (
                  select from unnest(p_names, p_versions) c(name, version)
                   where c.name = coalesce(l.name, i.name)
                     and c.version = coalesce(l.version, i.version, '')
                ) as is_ours
           from instance i
           left join lateral (select l.* from live l where l.instance = i.id offset 0) l on true
          where i.id = o.instance
         offset 0
       ) k
       where o.ctid = any (v_rows) and q.ctid = o.ctid
      returning q.instance, q.id, q.name, q.input, q.asked, q.expires, k.execution, k.is_ours,
                k.name as code_name, k.version as code_version
    )
    select g.instance, g.id, g.name, g.input, g.expires - v_now, g.execution, g.code_name,
           nullif(g.code_version, '')
      from given g
     where g.is_ours
     order by g.asked;
end
$$;
