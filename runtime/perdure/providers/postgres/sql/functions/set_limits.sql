-- Sets limits, which come sorted by key, or changes them, and admits what has room now: returns what
-- settle_limits_v1 does. What of a new limit's key is there already counts.
--
-- What is there is locked while nobody can wait for the new gates yet, in the order in which
-- everybody locks: instances, then activities. Then nothing of it can go, and what news there is
-- tells of what is gone already. Gates that were there are locked afterwards.
create or replace function set_limits_v1(
  p_limits limit_v1[], p_now timestamptz default null, out tags text[], out has_turns boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_new text[];
  v_limit limit_v1;
  v_tags text[];
  v_has_turns boolean;
begin
  tags := '{}';
  has_turns := false;
  with made as (
    insert into gate (limit_key, concurrency, rate, period, running)
    select l.limit_key, l.concurrency, l.rate, l.period, 0 from unnest(p_limits) l
    on conflict (limit_key) do nothing
    returning limit_key
  )
  select array_agg(m.limit_key) into v_new from made m;
  if v_new is not null then
    perform l.instance from live l
      where l.limit_key = any (v_new) and l.passage <> 1 order by l.instance for no key update;
    perform a.op from activity a
      where a.limit_key = any (v_new) and a.passage <> 1
      order by a.instance, a.execution, a.op for no key update;
    delete from gate_news where limit_key = any (v_new);
    with lives as (
      update live set passage = 2 where limit_key = any (v_new) and passage <> 1
      returning limit_key
    ), activities as (
      update activity set passage = 2 where limit_key = any (v_new) and passage <> 1
      returning limit_key
    )
    update gate g
       set running = c.n
      from (
        select u.limit_key, count(*)::int as n
          from (select * from lives union all select * from activities) u
         group by 1
      ) c
     where g.limit_key = c.limit_key;
  end if;
  foreach v_limit in array p_limits loop
    update gate g
       set concurrency = v_limit.concurrency, rate = v_limit.rate, period = v_limit.period,
           opens = case
             when g.rate = v_limit.rate and g.period = v_limit.period then g.opens
             else '-infinity'
           end
     where g.limit_key = v_limit.limit_key;
    select a.tags, a.has_turns into v_tags, v_has_turns from admit_v1(v_now, v_limit.limit_key) a;
    tags := tags || v_tags;
    has_turns := has_turns or v_has_turns;
  end loop;
end
$$;
