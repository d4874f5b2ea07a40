-- Cancels activities, and all of the executions that end; a part of commit_turns.
--
-- What nobody has leased goes at once. What is leased is marked with the reason: its executor
-- learns of it when it renews. Returns the instances of the latter.
create or replace function drop_activities_v1(
  p_now timestamptz, p_turns turn_v1[], p_seq int[], p_cancels cancel_v1[]
) returns text[]
language plpgsql
set search_path from current
as $$
declare
  v_free tid[];
  v_busy tid[];
  v_reasons text[];
  v_instances text[];
begin
  -- One statement, one order of locks: those who renew wait for the same rows.
  select array_agg(a.tid) filter (where not a.is_leased),
         array_agg(a.tid) filter (where a.is_leased),
         array_agg(c.reason) filter (where a.is_leased),
         array_agg(c.instance) filter (where a.is_leased)
    into v_free, v_busy, v_reasons, v_instances
    from (
      select c.instance collate "C" as instance, c.execution, c.op collate "C" as op, c.reason
        from unnest(p_cancels) c
       where p_seq[c.turn] > 0
      union all
      select t.instance collate "C", a.execution, a.op, 'The execution ended'
        from unnest(p_turns) with ordinality t
       cross join lateral (
         select a.execution, a.op from activity a
          where a.instance = t.instance and a.cancel_reason is null
         offset 0
       ) a
       where t.ending > 0 and p_seq[t.ordinality] > 0
       order by instance, execution, op
    ) c
   cross join lateral (
     select a.ctid as tid, a.lease <> 0 and (a.due - p_now) > interval '0' as is_leased
       from activity a
      where a.instance = c.instance and a.execution = c.execution and a.op = c.op
        for update
   ) a;
  if v_free is not null then
    delete from activity where ctid = any (v_free);
  end if;
  if v_busy is not null then
    update activity a
       set cancel_reason = coalesce(a.cancel_reason, b.reason, '')
      from unnest(v_busy, v_reasons) b(tid, reason)
     where a.ctid = b.tid;
  end if;
  return v_instances;
end
$$;
