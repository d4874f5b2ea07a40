-- Leases due activities of the given tags and names (null: any name), and counts an attempt on each:
-- the kind whose first has waited longest goes first, and within a kind the oldest.
--
-- What was cancelled and whose lease has ended goes on the way. Returns one row for each, and at the end
-- one row without an instance: `queued` is the time now, `next_due` when to ask again (null:
-- nothing is scheduled). Only leases are written: so the commit does not wait for the disk.
create or replace function fetch_activities_v1(
  p_token bigint, p_tags text[], p_names text[], p_limit int, p_lease interval,
  p_now timestamptz default null
) returns table (
  instance text, execution int, op text, name text, tag text, input text, retry text,
  timeout interval, attempt int, failures int, queued timestamptz, next_due timestamptz
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_left int := p_limit;
  v_kinds kind_v1[];
  v_kind kind_v1;
  v_leased int;
  v_purged int;
  v_rows tid[];
begin
  perform check_tags_v1(p_tags);
  perform set_config('synchronous_commit', 'off', true);
  v_kinds := activity_kinds_v1(p_tags, p_names);
  for v_kind in
    select k.tag, k.name
      from unnest(v_kinds) k
     cross join lateral (
       select a.due from activity a
        where a.tag = k.tag and a.name = k.name and a.due <= v_now
        order by a.due limit 1
     ) h
     order by h.due
  loop
    loop
      v_rows := array(
        select a.ctid from activity a
         where a.tag = v_kind.tag and a.name = v_kind.name and a.due <= v_now
         order by a.due limit v_left
           for no key update skip locked
      );
      exit when cardinality(v_rows) = 0;
      return query
        update activity a
           set lease = p_token, due = v_now + p_lease, attempt = a.attempt + 1
         where a.ctid = any (v_rows) and a.cancel_reason is null
        returning a.instance, a.execution, a.op, a.name, a.tag, a.input, a.retry, a.timeout,
                  a.attempt, a.failures, a.queued, null::timestamptz;
      get diagnostics v_leased = row_count;
      v_left := v_left - v_leased;
      exit when v_leased = cardinality(v_rows);
      delete from activity a where a.ctid = any (v_rows) and a.cancel_reason is not null;
      exit when v_left = 0;
    end loop;
    exit when v_left = 0;
  end loop;
  return query
    select null::text, null::int, null::text, null::text, null::text, null::text, null::text,
           null::interval, null::int, null::int, v_now,
           case when v_left = 0 then v_now else (
             select min(a.due)
               from unnest(v_kinds) k
              cross join lateral (
                select a.due from activity a
                 where a.tag = k.tag and a.name = k.name and a.due > v_now
                 order by a.due limit 1
              ) a
           ) end;
end
$$;
