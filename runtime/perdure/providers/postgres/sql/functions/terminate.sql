-- Ends one instance and its unfinished descendants; a part of control, which holds all locks.
create or replace function terminate_v1(
  p_now timestamptz, p_command command_v1,
  out outcome smallint, out finished text[], out cancelled text[]
)
language plpgsql
set search_path from current
as $$
declare
  v_status smallint;
  v_tree text[];
  v_parent text;
  v_link json;
begin
  finished := '{}';
  cancelled := '{}';
  select i.status, i.parent into v_status, v_parent
    from instance i where i.id = p_command.instance;
  if v_status is null or v_status = -1 then
    outcome := 0;
    return;
  end if;
  if v_status > 0 then
    outcome := 3;
    return;
  end if;
  outcome := 1;
  v_tree := unfinished_tree_v1(array[p_command.instance]);

  if v_parent is not null then
    select e.body::json -> 'parent' into v_link
      from live l
     cross join lateral (
       select e.body from event e where e.instance = l.instance and e.seq = l.first_seq offset 0
     ) e
     where l.instance = p_command.instance;
    with told as (
      update live
         set next_seq = next_seq + 1,
             due = case
               when suspended or block_reason is not null then 'infinity'
               else least(due, p_now)
             end
       where instance = v_parent and execution = (v_link ->> 'execution')::int
      returning instance, next_seq, execution
    )
    insert into event (instance, seq, execution, kind, ref, body, at)
    select t.instance, t.next_seq - 1, t.execution, 8, v_link ->> 'operation', p_command.failure,
           p_now
      from told t;
  end if;

  with gone as (
    delete from live l
     where l.ctid = any (array(
             select k.tid
               from unnest(v_tree) u(id)
              cross join lateral (select l.ctid as tid from live l where l.instance = u.id offset 0) k
           ))
    returning l.instance, l.next_seq, l.execution, l.name, l.version, l.cancelled
  ), noted as (
    insert into event (instance, seq, execution, kind, body, at)
    select g.instance, g.next_seq, g.execution, 21, to_json(p_command.reason)::text, p_now
      from gone g
  ), ended as (
    update instance i
       set status = 8, finished = p_now, execution = g.execution, length = g.next_seq,
           version = coalesce(nullif(g.version, ''), i.version), cancelled = g.cancelled,
           failure = p_command.failure
      from gone g
     cross join lateral (select i.ctid as tid from instance i where i.id = g.instance offset 0) k
     where i.ctid = k.tid
    returning i.id
  )
  select coalesce(array_agg(e.id), '{}') into finished from ended e;

  delete from timer
   where ctid = any (array(
           select d.tid
             from unnest(finished) u(id)
            cross join lateral (
              select d.ctid as tid from timer d where d.instance = u.id for update skip locked
            ) d
         ));
  cancelled := coalesce(drop_activities_v1(
    p_now,
    array(select row(u.id, 0, 0, 0, '', '', 8, null, null, false, null, null, null, null)::turn_v1
            from unnest(finished) u(id) order by u.id collate "C"),
    array_fill(1, array[cardinality(finished)]),
    null
  ), '{}');
end
$$;
