-- Counts everything, as pairs of a name and a number: `phase N` instances, `tally NAME`, and the rest by
-- their own names. Reads the queues and the list of ends whole: to be asked now and then. Records
-- beyond a hundred thousand are estimated.
create or replace function read_totals_v1(p_now timestamptz default null)
returns table (name text, n bigint)
language plpgsql stable security definer
set search_path from current
set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  return query
    select 'phase ' || c.phase, c.n
      from count_instances_v1(
        row(null, null, null, null, null, false, null, null, null, null, null, null)::filter_v1
      ) c
    union all
    select 'tally ' || t.name, t.count from tally t
    union all
    select 'due_turns', count(*) from live l
     where l.due <= v_now and l.due < 'infinity' and l.lease_until <= v_now
    union all
    select 'waiting_activities', count(*) filter (where a.lease = 0 or a.due <= v_now)
      from activity a where a.cancel_reason is null
    union all
    select 'leased_activities', count(*) filter (where a.lease <> 0 and a.due > v_now)
      from activity a
    union all
    select 'timers', count(*) from timer
    union all
    select 'early_messages', count(*) from early_message
    union all
    select 'records', case
             when e.n < 100000 then e.n
             else greatest(
               e.n, (select c.reltuples::bigint from pg_class c where c.oid = 'event'::regclass)
             )
           end
      from (select count(*) as n from (select from event limit 100000) e) e;
end
$$;
