-- The sessions of an executor, in the order in which they are locked; a part of renewing them. Sorted
-- when they are found, so that no plan walks all sessions in that order.
create or replace function owned_sessions_v1(p_executor bigint) returns text[]
language sql stable
set search_path from current
set enable_seqscan = off set jit = off
as $$
  select coalesce(array_agg(u.id order by u.id), '{}')
    from unnest(array(select s.id from session s where s.owner = p_executor)) u(id)
$$;
