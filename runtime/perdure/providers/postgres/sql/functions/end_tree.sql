-- Ends instances at once, as terminated; a part of terminate and delete_instances, which hold the
-- locks. What was not answered is answered with the failure. What has ended already is left alone.
-- `finished`: what was not; `cancelled`: instances with a leased activity that is no longer wanted.
create or replace function end_tree_v1(
  p_now timestamptz, p_tree text[], p_reason text, p_failure text,
  out finished text[], out cancelled text[]
)
language plpgsql
set search_path from current
as $$
begin
  with gone as (
    delete from live l
     where l.ctid = any (array(
             select k.tid
               from unnest(p_tree) u(id)
              cross join lateral (select l.ctid as tid from live l where l.instance = u.id offset 0) k
           ))
    returning l.instance, l.next_seq, l.execution, l.version, l.cancelled
  ), noted as (
    insert into event (instance, seq, execution, kind, body, at)
    select g.instance, g.next_seq, g.execution, 21, to_json(p_reason)::text, p_now
      from gone g
  ), closed as (
    update instance i
       set status = 8, finished = p_now, execution = g.execution, length = g.next_seq,
           version = coalesce(nullif(g.version, ''), i.version), cancelled = g.cancelled,
           failure = p_failure
      from gone g
     cross join lateral (select i.ctid as tid from instance i where i.id = g.instance offset 0) k
     where i.ctid = k.tid
    returning i.id
  )
  select coalesce(array_agg(c.id order by c.id collate "C"), '{}') into finished from closed c;
  insert into ended (at, status, instance) select p_now, 8, u.id from unnest(finished) u(id);
  update answer a
     set failure = p_failure
    from unnest(finished) u(id)
   cross join lateral (
     select a.ctid as tid from answer a
      where a.instance = u.id and a.result is null and a.failure is null
     offset 0
   ) k
   where a.ctid = k.tid;

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
            from unnest(finished) u(id)),
    array_fill(1, array[cardinality(finished)]),
    null
  ), '{}');
end
$$;
