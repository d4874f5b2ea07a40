-- Reads all limits, by key, and how far they are used; admits what has room, so that nothing is shown
-- to wait that does not.
create or replace function read_limits_v1(p_now timestamptz default null)
returns table (
  limit_key text, concurrency int, rate int, period interval, running int, waiting bigint
)
language plpgsql security definer
set search_path from current
set jit = off
as $$
begin
  perform settle_limits_v1(coalesce(p_now, clock_timestamp()));
  return query
    select g.limit_key, g.concurrency, g.rate, g.period, g.running,
           (select count(*) from activity a where a.limit_key = g.limit_key and a.passage = 1)
           + (select count(*) from live l where l.limit_key = g.limit_key and l.passage = 1)
      from gate g
     order by g.limit_key;
end
$$;
