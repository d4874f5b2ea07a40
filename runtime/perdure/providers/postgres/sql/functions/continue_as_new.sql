-- Starts the next execution of each turn that continues as new; a part of commit_turns.
--
-- Its STARTED record comes right after the TURN record. What arrived from outside while the turn ran
-- moves behind it; answers of activities, timers and children of the old execution do not. The key-
-- value map, attributes, tenant and answers are the instance's and stay as they are.
create or replace function continue_as_new_v1(
  p_now timestamptz, p_turns turn_v1[], p_seq int[]
) returns void
language plpgsql
set search_path from current
as $$
declare
  t turn_v1;
  v_seq int;
  v_moved int;
  v_cancels int;
begin
  for i in 1 .. cardinality(p_turns) loop
    t := p_turns[i];
    v_seq := p_seq[i];
    continue when t.ending <> 1 or v_seq = 0;
    with late as (
      select e.ctid as tid, row_number() over (order by e.seq)::int as n
        from event e
       where e.instance = t.instance and e.seq > t.upto and e.seq < v_seq
           and e.kind in (5, 6, 9, 10)
    ), moved as (
      update event e
         set seq = v_seq + 1 + late.n, execution = t.execution + 1
        from late
       where e.ctid = late.tid
      returning e.kind
    )
    select count(*), count(*) filter (where kind = 9) into v_moved, v_cancels from moved;
    insert into execution (instance, execution, first_seq, last_seq, version, started, finished)
    select t.instance, t.execution, l.first_seq, v_seq, t.version, e.at, p_now
      from live l
     cross join lateral (
       select e.at from event e where e.instance = l.instance and e.seq = l.first_seq offset 0
     ) e
     where l.instance = t.instance;
    insert into event (instance, seq, execution, kind, body, at, source)
    values (t.instance, v_seq + 1, t.execution + 1, 1, t.next_body, p_now, t.token);
    update live l
       set next_seq = v_seq + 2 + v_moved, execution = t.execution + 1, first_seq = v_seq + 1,
           position = v_seq, lease = 0, lease_until = '-infinity', held = false, attempt = 0,
           name = t.next_name, version = coalesce(t.next_version, ''), cancelled = v_cancels > 0,
           due = case
             when l.suspended or l.block_reason is not null then 'infinity'
             else p_now
           end
     where l.instance = t.instance;
    update instance
       set name = t.next_name
     where id = t.instance and name <> t.next_name;
  end loop;
end
$$;
