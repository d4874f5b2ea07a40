-- Turns due timers into messages, each once; returns how many. A part of fetch_turns.
--
-- Timers that another call is firing are skipped. A timer whose execution is over, or whose
-- instance is, goes without a trace.
create or replace function fire_timers_v1(p_now timestamptz, p_limit int) returns int
language plpgsql
set search_path from current
as $$
declare
  v_instances text[];
  v_executions int[];
  v_ops text[];
begin
  with fired as (
    delete from timer
     where ctid = any (array(
             select ctid from timer where due <= p_now order by due limit p_limit
                for update skip locked
           ))
    returning instance, execution, op, due
  )
  select array_agg(f.instance), array_agg(f.execution), array_agg(f.op)
    into v_instances, v_executions, v_ops
    from (select * from fired order by instance, due, op) f;
  if v_instances is null then
    return 0;
  end if;

  perform l.one
     from unnest(v_instances) u(id)
    cross join lateral (
      select 1 as one from live l where l.instance = u.id for no key update
    ) l;
  with due as (
    select u.instance, u.op, l.execution,
           l.next_seq + (row_number() over (partition by u.instance order by u.ord))::int - 1 as seq
      from unnest(v_instances, v_executions, v_ops) with ordinality u(instance, execution, op, ord)
     cross join lateral (
       select l.next_seq, l.execution from live l
        where l.instance = u.instance and l.execution = u.execution
       offset 0
     ) l
  )
  insert into event (instance, seq, execution, kind, ref, at)
  select d.instance, d.seq, d.execution, 4, d.op, p_now from due d;

  update live l
     set next_seq = l.next_seq + g.n,
         due = case
           when l.suspended or l.block_reason is not null then 'infinity'
           else least(l.due, p_now)
         end
    from (
      select u.instance, u.execution, count(*)::int as n
        from unnest(v_instances, v_executions) u(instance, execution)
       group by 1, 2
    ) g
   cross join lateral (
     select l.ctid as tid from live l
      where l.instance = g.instance and l.execution = g.execution
     offset 0
   ) k
   where l.ctid = k.tid;
  return cardinality(v_instances);
end
$$;
