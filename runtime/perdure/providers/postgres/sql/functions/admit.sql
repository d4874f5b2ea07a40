-- Admits what waits for one limit, as far as it has room: by priority, then in the order of arrival.
--
-- By the rate, each is due one step after the one before, so that in no period there are more. Those
-- that will be due within a second are admitted, and the others wait on: a more urgent one may come.
-- What somebody else has locked is passed by, and the gate looked at again at once. For a limit that
-- is no more, all are let through.
create or replace function admit_v1(
  p_now timestamptz, p_key text, out tags text[], out has_turns boolean
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_gate gate;
  v_gone int;
  v_room int := 1000;
  v_running int := 0;
  v_step interval := '0';
  v_opens timestamptz := p_now;
  v_ahead constant interval := '1 second';
  v_activities tid[];
  v_activities_due timestamptz[];
  v_lives tid[];
  v_lives_due timestamptz[];
  v_passage smallint := 0;
begin
  select * into v_gate from gate g where g.limit_key = p_key for update;
  with gone as (
    delete from gate_news n where n.limit_key = p_key returning n.gone
  )
  select coalesce(sum(g.gone), 0) into v_gone from gone g;
  if v_gate.limit_key is not null then
    v_passage := 2;
    v_running := greatest(v_gate.running - v_gone, 0);
    v_room := least(v_room, v_gate.concurrency - v_running);
    if v_gate.rate is not null then
      v_step := v_gate.period / v_gate.rate;
      v_opens := greatest(v_gate.opens, p_now);
      v_room := least(v_room, case
        when v_opens > p_now + v_ahead then 0
        else 1 + floor(least(
          extract(epoch from p_now + v_ahead - v_opens) / extract(epoch from v_step), 1000
        ))
      end);
    end if;
  end if;

  if v_room > 0 then
    select array_agg(w.tid order by w.n) filter (where w.is_activity),
           array_agg(v_opens + (w.n - 1) * v_step order by w.n) filter (where w.is_activity),
           array_agg(w.tid order by w.n) filter (where not w.is_activity),
           array_agg(v_opens + (w.n - 1) * v_step order by w.n) filter (where not w.is_activity)
      into v_activities, v_activities_due, v_lives, v_lives_due
      from (
        select w.tid, w.is_activity, row_number() over (order by w.priority desc, w.arrival) as n
          from (
            select * from (
              select a.ctid as tid, true as is_activity, a.priority, a.arrival from activity a
               where a.limit_key = p_key and a.passage = 1
               order by a.priority desc, a.arrival limit v_room for no key update skip locked
            ) a
            union all
            select * from (
              select l.ctid, false, 0::smallint, l.arrival from live l
               where l.limit_key = p_key and l.passage = 1
               order by l.arrival limit v_room for no key update skip locked
            ) l
          ) w
         order by n limit v_room
      ) w;
  end if;
  with admitted as (
    update activity a
       set passage = v_passage, due = u.due
      from unnest(v_activities, v_activities_due) u(tid, due)
     where a.ctid = u.tid
    returning a.tag
  )
  select coalesce(array_agg(distinct a.tag), '{}') into tags from admitted a;
  has_turns := v_lives is not null;
  if has_turns then
    update live l
       set passage = v_passage,
           due = case when l.suspended or l.block_reason is not null then 'infinity' else u.due end
      from unnest(v_lives, v_lives_due) u(tid, due)
     where l.ctid = u.tid;
  end if;

  v_gone := coalesce(cardinality(v_activities), 0) + coalesce(cardinality(v_lives), 0);
  v_running := v_running + v_gone;
  v_opens := v_opens + v_gone * v_step;
  update gate g set running = v_running, opens = v_opens where g.limit_key = p_key;
  if (v_gate.concurrency is null or v_running < v_gate.concurrency)
     and (exists (select from activity a where a.limit_key = p_key and a.passage = 1)
          or exists (select from live l where l.limit_key = p_key and l.passage = 1)) then
    insert into gate_news (limit_key, due, gone)
    values (p_key, case when v_opens > p_now + v_ahead then v_opens - v_ahead else p_now end, 0);
  end if;
end
$$;
