-- Gives turns back undone; leases that are over are ignored. Arguments come sorted by instance.
--
-- A turn with a reason to block is parked until it is resumed. `is_due`: something can be fetched
-- at once; `is_changed`: the change feed grew.
create or replace function abandon_turns_v1(
  p_leases lease_v1[], p_delays interval[], p_counts boolean[], p_reasons text[],
  p_messages text[], p_now timestamptz default null, out is_due boolean, out is_changed boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_watched text[];
  v_tids tid[];
begin
  select array_agg(coalesce(l.tid, '(0,0)'))
    into v_tids
    from unnest(p_leases) u
    left join lateral (
      select l.ctid as tid from live l
       where l.instance = u.instance and l.lease = u.token and l.lease_until > v_now
         for no key update
    ) l on true;
  with given as (
    update live l
       set lease = 0, lease_until = '-infinity',
           attempt = case when p_counts[u.ordinality] then l.attempt
                          else greatest(l.attempt - 1, 0) end,
           block_reason = coalesce(p_reasons[u.ordinality], l.block_reason),
           block_message = coalesce(p_messages[u.ordinality], l.block_message),
           due = case
             when l.suspended or l.block_reason is not null
                  or p_reasons[u.ordinality] is not null then 'infinity'
             else v_now + p_delays[u.ordinality]
           end
      from unnest(p_leases) with ordinality u
     where l.ctid = v_tids[u.ordinality]
    returning l.instance, l.due, l.watched and p_reasons[u.ordinality] is not null as is_news
  )
  select coalesce(bool_or(g.due <= v_now), false), array_agg(g.instance) filter (where g.is_news)
    into is_due, v_watched
    from given g;
  is_changed := v_watched is not null;
  if is_changed then
    perform mark_changed_v1(v_watched);
  end if;
end
$$;
