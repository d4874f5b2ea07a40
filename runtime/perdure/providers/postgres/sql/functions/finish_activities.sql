-- Records how leased activities ended and wakes their instances. Arguments come sorted by
-- instance, execution and operation.
--
-- Rows in `live` are locked first, then those of the activities. `outcomes`, one for each result:
-- 1 recorded, now or by an earlier call with the same token; 0 refused. A result of a cancelled
-- activity is refused and its row goes; one to be tried again waits for its delay; one that is
-- deferred keeps its lease for so long.
create or replace function finish_activities_v1(
  p_results result_v1[], p_now timestamptz default null,
  out outcomes smallint[], out is_due boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_fate smallint[];
  v_bases int[];
  v_lives tid[];
  v_gone tid[];
  v_tids tid[];
  v_sessions text[];
  v_again int;
  v_deferred int;
  v_known int;
  v_recorded int;
  v_one result_v1;
  v_live tid;
  v_next int;
begin
  -- A quiet system sends one result alone: single rows are had sooner than queries over arrays. What
  -- is not as usual goes the way of all.
  if cardinality(p_results) = 1 and p_results[1].kind in (2, 3) then
    v_one := p_results[1];
    select l.ctid, l.next_seq into v_live, v_next
      from live l
     where l.instance = v_one.instance and l.execution = v_one.execution
       for no key update;
    if found then
      delete from activity a
       where a.instance = v_one.instance and a.execution = v_one.execution and a.op = v_one.op
         and a.lease = v_one.token and (a.due - v_now) > interval '0' and a.cancel_reason is null
         and coalesce(a.session, '') = '';  -- said so that no partial index seems to fit
    end if;
    if found then
      insert into event (instance, seq, execution, kind, ref, body, at, source)
      values (v_one.instance, v_next, v_one.execution, v_one.kind, v_one.op, v_one.body, v_now,
              v_one.token);
      update live l
         set next_seq = l.next_seq + 1,
             due = case
               when l.suspended or l.block_reason is not null then 'infinity'
               else least(l.due, v_now)
             end
       where l.ctid = v_live;
      outcomes := array[1::smallint];
      is_due := true;
      return;
    end if;
  end if;

  -- Zero where the execution is over.
  select array_agg(coalesce(l.next_seq, 0)), array_agg(coalesce(l.tid, '(0,0)'))
    into v_bases, v_lives
    from unnest(p_results) r
    left join lateral (
      select l.ctid as tid, case when l.execution = r.execution then l.next_seq end as next_seq
        from live l
       where l.instance = r.instance
         for no key update
    ) l on true;

  -- 1: goes to the history; 2: tried again; 3: the row goes, nothing is recorded; 4: deferred;
  -- 0: not ours.
  select array_agg(f.fate), array_agg(coalesce(f.tid, '(0,0)')),
         array_agg(f.tid) filter (where f.fate in (1, 3)),
         count(*) filter (where f.fate = 1), count(*) filter (where f.fate = 2),
         count(*) filter (where f.fate = 4), count(*) filter (where f.fate > 0),
         array_agg(f.session) filter (where f.session is not null)
    into v_fate, v_tids, v_gone, v_recorded, v_again, v_deferred, v_known, v_sessions
    from (
      select a.tid, a.session,
             case
               when a.tid is null then 0
               when a.cancel_reason is not null or r.kind = -1 then 3
               when r.kind = 0 then 2
               when r.kind = 1 then 4
               else 1
             end::smallint as fate
        from unnest(p_results) r
        left join lateral (
          select a.ctid as tid, a.cancel_reason, a.session from activity a
           where a.instance = r.instance and a.execution = r.execution and a.op = r.op
             and a.lease = r.token and (a.due - v_now) > interval '0'
             for update
        ) a on true
    ) f;

  if v_gone is not null then
    delete from activity where ctid = any (v_gone);
  end if;
  if v_recorded > 0 then
    insert into event (instance, seq, execution, kind, ref, body, at, source)
    select r.instance,
           v_bases[r.ordinality] - 1
             + (row_number() over (partition by r.instance order by r.ordinality))::int,
           r.execution, r.kind, r.op, r.body, v_now, r.token
      from unnest(p_results) with ordinality r
     where v_fate[r.ordinality] = 1 and v_bases[r.ordinality] > 0;
    update live l
       set next_seq = l.next_seq + g.n,
           due = case
             when l.suspended or l.block_reason is not null then 'infinity'
             else least(l.due, v_now)
           end
      from (
        select v_lives[s.i] as tid, count(*)::int as n
          from generate_subscripts(v_fate, 1) s(i)
         where v_fate[s.i] = 1 and v_bases[s.i] > 0
         group by 1
      ) g
     where l.ctid = g.tid;
  end if;
  if v_again > 0 then
    update activity a
       set lease = 0, retried = r.token, failures = a.failures + 1, last_failure = r.body,
           due = v_now + r.delay
      from unnest(p_results) with ordinality r
     where v_fate[r.ordinality] = 2 and a.ctid = v_tids[r.ordinality];
  end if;
  if v_deferred > 0 then
    update activity a
       set due = v_now + r.delay
      from unnest(p_results) with ordinality r
     where v_fate[r.ordinality] = 4 and a.ctid = v_tids[r.ordinality];
  end if;
  if v_sessions is not null then
    perform touch_sessions_v1(v_now, v_sessions);
  end if;

  -- What went without a trace may have made room: whoever fetches turns admits.
  is_due := v_recorded > 0
    or v_gone is not null and exists (select from gate_news n where n.due <= v_now);
  if v_known = v_recorded + v_again + v_deferred and v_known = cardinality(p_results) then
    outcomes := array_fill(1::smallint, array[cardinality(p_results)]);
    return;
  end if;
  -- Some were not ours: recorded by an earlier try whose answer was lost, or never to be.
  select array_agg(case
           when v_fate[r.ordinality] in (1, 2, 4) then 1
           when v_fate[r.ordinality] = 3 then (r.kind = -1)::int
           when (
             select true from activity a
              where a.instance = r.instance and a.execution = r.execution and a.op = r.op
                and a.retried = r.token and r.kind = 0
              limit 1
           ) then 1
           when (
             select true from event e
              where e.instance = r.instance and e.execution = r.execution and e.kind in (2, 3)
                and e.ref = r.op and e.source = r.token
              limit 1
           ) then 1
           else 0
         end::smallint order by r.ordinality)
    into outcomes
    from unnest(p_results) with ordinality r;
end
$$;
