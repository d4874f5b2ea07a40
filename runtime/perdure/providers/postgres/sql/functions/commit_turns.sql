-- Applies turns; each whole or not at all.
--
-- `p_turns` come sorted by instance, each instance once. `p_locks` are the ids of all instances
-- that the batch touches, sorted, or null when it touches none but those of its turns: all rows in
-- `live` are locked first, in that order, so that two commits never wait for one another in a ring.
--
-- One turn alone, which is what a quiet system sends, is done with single rows: to set up a query over
-- arrays takes longer than to run it. What follows is the same for both.
--
-- `outcomes`, one for each turn: 1 committed now, 2 committed by an earlier call with the same
-- token, 0 the lease is over. `cancelled`: instances with a leased activity whose result is no
-- longer wanted. `finished`: children that were terminated. `is_due`: some instance has a turn to
-- take. `is_changed`: the change feed grew.
--
-- `p_extras` is what few turns have: keys, attributes, answers, children to terminate. `p_over` is the
-- answer to updates that came too late for the last turn.
create or replace function commit_turns_v1(
  p_locks text[], p_turns turn_v1[], p_activities activity_v1[], p_cancels cancel_v1[],
  p_timers timer_v1[], p_timer_cancels cancel_v1[], p_messages message_v1[], p_taken text,
  p_extras extras_v1, p_over text, p_keep interval, p_now timestamptz default null,
  out outcomes smallint[], out cancelled text[], out finished text[], out is_due boolean,
  out is_changed boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_seq int[];
  v_tids tid[];
  v_fate smallint[];
  v_sent smallint[];
  v_sends message_v1[] := p_messages;
  v_held int;
  v_going int;
  v_again int;
  v_ended int;
  v_late int;
  v_status int;
  v_watched text[];
  v_news text[];
  v_busy text[];
  v_one turn_v1;
  v_is_one boolean := false;
  v_next int;
  v_is_late boolean;
  v_cancelled boolean;
begin
  is_changed := false;
  if (p_extras).terminates is not null then
    perform lock_family_v1(p_locks, (p_extras).terminates);
  elsif p_locks is not null then
    perform l.one
       from unnest(p_locks) u(id)
      cross join lateral (
        select 1 as one from live l where l.instance = u.id for no key update
      ) l;
  end if;

  if cardinality(p_turns) = 1 and p_turns[1].ending <> 1 then
    v_one := p_turns[1];
    if v_one.ending = 0 then
      update live l
         set next_seq = l.next_seq + 1, position = l.upto, lease = 0, lease_until = '-infinity',
             held = true, attempt = 0, version = v_one.version,
             due = case
               when l.suspended or l.block_reason is not null then 'infinity'
               when l.next_seq > l.upto + 1 then v_now
               else 'infinity'
             end
       where l.instance = v_one.instance and l.lease = v_one.token and l.lease_until > v_now
         and not l.watched
      returning l.next_seq - 1, l.next_seq > l.upto + 2 into v_next, v_is_late;
    else
      delete from live l
       where l.instance = v_one.instance and l.lease = v_one.token and l.lease_until > v_now
         and not l.watched
      returning l.next_seq, l.next_seq > l.upto + 1, l.cancelled
        into v_next, v_is_late, v_cancelled;
    end if;
    v_is_one := found;
  end if;

  if v_is_one then
    insert into event (instance, seq, execution, kind, body, at, source)
    values (v_one.instance, v_next, v_one.execution, 20, v_one.body, v_now, v_one.token);
    if v_one.ending > 1 then
      update instance i
         set status = v_one.ending, finished = v_now, execution = v_one.execution,
             length = v_next, version = v_one.version, cancelled = v_cancelled,
             output = v_one.output, failure = v_one.failure
       where i.id = v_one.instance;
      insert into ended (at, status, instance) values (v_now, v_one.ending, v_one.instance);
    end if;
    outcomes := array[1::smallint];
    v_seq := array[v_next];
    v_again := 0;
    v_ended := (v_one.ending > 1)::int;
    v_late := v_is_late::int;
    v_status := v_one.sets_status::int;
    is_due := v_is_late and v_one.ending = 0;
  else
    -- The number of each TURN record, 0 where the lease is over; and where the rows are, so that they
    -- need not be looked for again.
    select array_agg(coalesce(l.next_seq, 0)), array_agg(coalesce(l.tid, '(0,0)')), array_agg((l.next_seq is not null)::int::smallint),
           count(l.next_seq),
           count(l.next_seq) filter (where t.ending = 0),
           count(l.next_seq) filter (where t.ending = 1),
           count(l.next_seq) filter (where t.ending > 1),
           count(*) filter (where l.next_seq > l.upto + 1),
           count(l.next_seq) filter (where t.sets_status),
           array_agg(t.instance) filter (
             where l.watched and (t.ending > 1 or t.sets_status or l.position = 0)
           )
      into v_seq, v_tids, v_fate, v_held, v_going, v_again, v_ended, v_late, v_status, v_watched
      from unnest(p_turns) t
      left join lateral (
        select l.ctid as tid, l.next_seq, l.upto, l.position, l.watched
          from live l
         where l.instance = t.instance and l.lease = t.token and l.lease_until > v_now
           for no key update
      ) l on true;
    outcomes := v_fate;
    is_due := v_late > 0 and v_going > 0 or v_again > 0;

    if v_held < cardinality(p_turns) then
      select array_agg(case
               when v_seq[t.ordinality] > 0 then 1
               when (
                 select true from event e
                  where e.instance = t.instance and e.kind in (1, 20) and e.source = t.token
                  limit 1
               ) then 2
               else 0
             end::smallint order by t.ordinality)
        into outcomes
        from unnest(p_turns) with ordinality t;
      if v_held = 0 then
        return;
      end if;
      v_sends := array(select m from unnest(p_messages) m where v_seq[m.turn] > 0);
    end if;

    insert into event (instance, seq, execution, kind, body, at, source)
    select t.instance, v_seq[t.ordinality], t.execution, 20, t.body, v_now, t.token
      from unnest(p_turns) with ordinality t
     where v_seq[t.ordinality] > 0;

    if v_going > 0 then
      update live l
         set next_seq = l.next_seq + 1, position = l.upto, lease = 0, lease_until = '-infinity',
             held = true, attempt = 0, version = t.version,
             due = case
               when l.suspended or l.block_reason is not null then 'infinity'
               when l.next_seq > l.upto + 1 then v_now
               else 'infinity'
             end
        from unnest(p_turns) with ordinality t
       where t.ending = 0 and v_seq[t.ordinality] > 0 and l.ctid = v_tids[t.ordinality];
    end if;
  end if;

  if v_status > 0 then
    update instance i
       set custom_status = t.custom_status, custom_version = i.custom_version + 1
      from unnest(p_turns) with ordinality t
     cross join lateral (select i.ctid as tid from instance i where i.id = t.instance offset 0) k
     where t.sets_status and v_seq[t.ordinality] > 0 and i.ctid = k.tid;
  end if;

  if p_activities is not null then
    insert into activity (
      instance, execution, op, tag, name, input, retry, timeout, queued, due, session, priority,
      limit_key, queue_timeout, heartbeat, start_by
    )
    select a.instance, a.execution, a.op, a.tag, a.name, a.input, a.retry, a.timeout, v_now, v_now,
           nullif((a.options).session, ''), coalesce((a.options).priority, 0),
           (a.options).limit_key, (a.options).queue_timeout, (a.options).heartbeat,
           v_now + (a.options).queue_timeout
      from unnest(p_activities) a
     where v_seq[a.turn] > 0;
  end if;

  if not (p_extras is null) then
    perform keep_extras_v1(v_now, p_extras, v_seq);
  end if;

  if p_timers is not null then
    insert into timer (instance, execution, op, due)
    select m.instance, m.execution, m.op, m.due
      from unnest(p_timers) m
     where v_seq[m.turn] > 0;
  end if;

  if p_timer_cancels is not null or v_ended + v_again > 0 and not (
       v_is_one and not exists (select from timer m where m.instance = v_one.instance)
     ) then
    perform drop_timers_v1(p_turns, v_seq, p_timer_cancels);
  end if;
  if p_cancels is not null or v_ended + v_again > 0 and not (
       v_is_one and not exists (select from activity a where a.instance = v_one.instance)
     ) then
    cancelled := drop_activities_v1(v_now, p_turns, v_seq, p_cancels);
  end if;

  if v_again > 0 then
    perform continue_as_new_v1(v_now, p_turns, v_seq);
  end if;
  if v_ended > 0 and not v_is_one then
    with gone as (
      delete from live l
       using unnest(p_turns) with ordinality t
       where t.ending > 1 and v_seq[t.ordinality] > 0 and l.ctid = v_tids[t.ordinality]
      returning l.instance, l.next_seq, l.cancelled, t.execution, t.version, t.ending, t.output,
                t.failure
    ), noted as (
      insert into ended (at, status, instance) select v_now, g.ending, g.instance from gone g
    )
    update instance i
       set status = g.ending, finished = v_now, execution = g.execution, length = g.next_seq,
           version = g.version, cancelled = g.cancelled, output = g.output, failure = g.failure
      from gone g
     cross join lateral (select i.ctid as tid from instance i where i.id = g.instance offset 0) k
     where i.ctid = k.tid;
  end if;
  if v_ended > 0 and v_late > 0 then
    perform answer_late_v1(p_turns, v_seq, p_over);
  end if;

  if cardinality(v_sends) > 0 then
    is_due := true;
    v_sent := send_v1(v_now, v_sends, p_keep, null);
    if 3 = any (v_sent) then
      perform tell_taken_v1(v_now, v_sends, v_sent, p_taken);
    end if;
  end if;

  if (p_extras).terminates is not null then
    is_due := true;  -- one that goes on is told
    select f.finished, f.cancelled, f.watched into finished, v_busy, v_news
      from terminate_children_v1(v_now, (p_extras).terminates, v_seq) f;
    cancelled := cancelled || v_busy;
    v_watched := v_watched || v_news;
  end if;

  if cardinality(v_watched) > 0 then
    perform mark_changed_v1(v_watched);
    is_changed := true;
  end if;
  -- Whoever fetches next admits what came to a limit, and what it has room for now.
  is_due := is_due or exists (select from gate_news n where n.due <= v_now);
end
$$;
