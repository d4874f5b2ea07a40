-- Deletes what has had its time, at most `p_limit` rows of each sort: messages whose instance nobody
-- started (they are counted in `tally`), questions, executors not heard of for ten minutes, news of
-- instances that were deleted an hour ago. One at a time; whoever comes meanwhile finds nothing to do.
create or replace function sweep_v1(
  p_limit int, p_now timestamptz default null,
  out messages int, out questions int, out executors int, out changes int
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  messages := 0;
  questions := 0;
  executors := 0;
  changes := 0;
  if not exists (select from early_message e where e.expires <= v_now)
     and not exists (select from question q where q.expires <= v_now)
     and not exists (select from executor x where x.seen < v_now - interval '10 minutes')
     and not exists (select from change c where c.gone < v_now - interval '1 hour') then
    return;
  end if;
  -- The number of this schema's own table of tallies: another schema is another lock.
  if not pg_try_advisory_xact_lock('tally'::regclass::oid::bigint) then
    return;
  end if;
  messages := expire_early_v1(v_now, p_limit);
  with gone as (
    delete from question
     where ctid = any (array(
             select q.ctid from question q where q.expires <= v_now
              order by q.expires limit p_limit for update skip locked
           ))
    returning 1
  )
  select count(*) into questions from gone;
  with gone as (
    delete from executor
     where ctid = any (array(
             select x.ctid from executor x where x.seen < v_now - interval '10 minutes'
              limit p_limit for update skip locked
           ))
    returning 1
  )
  select count(*) into executors from gone;
  with gone as (
    delete from change
     where ctid = any (array(
             select c.ctid from change c where c.gone < v_now - interval '1 hour'
              order by c.gone limit p_limit for update skip locked
           ))
    returning 1
  )
  select count(*) into changes from gone;
end
$$;
