-- Adds messages, which come sorted by instance; returns their outcomes as send_v1 does.
--
-- Starts, events, what is queued, cancels and updates alone come from outside: results are written
-- by who holds a lease, and nobody can forge one here, nor name an instance as the sender, whose
-- tenant it would take.
create or replace function enqueue_v1(
  p_messages message_v1[], p_keep interval, p_inbox int, p_now timestamptz default null
) returns smallint[]
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  -- A start alone has nothing to lock.
  if cardinality(p_messages) <> 1 or p_messages[1].kind <> 1
     or p_messages[1].sender is not null then
    if exists (
      select from unnest(p_messages) m
       where m.kind not in (1, 5, 6, 9, 10) or m.sender is not null
    ) then
      raise exception 'only starts, events, cancels and updates can be sent from outside'
        using errcode = 'invalid_parameter_value';
    end if;
    perform l.one
       from unnest(p_messages) m
      cross join lateral (
        select 1 as one from live l where l.instance = m.instance for no key update
      ) l
      where m.kind <> 1;
  end if;
  return send_v1(coalesce(p_now, clock_timestamp()), p_messages, p_keep, p_inbox);
end
$$;
