-- Counts what waits and what runs, by tag. Reads the whole queue: to be asked every few seconds by
-- one process, not by all.
create or replace function read_backlog_v1(p_now timestamptz default null)
returns table (tag text, ready bigint, leased bigint, oldest interval)
language sql stable security definer
set search_path from current
set jit = off
as $$
  select a.tag,
         count(*) filter (where a.cancel_reason is null and a.due <= n.at),
         count(*) filter (where a.lease <> 0 and a.due > n.at),
         n.at - min(a.due) filter (where a.cancel_reason is null and a.due <= n.at)
    from activity a
   cross join (select coalesce(p_now, clock_timestamp()) as at) n
   group by a.tag, n.at
   order by a.tag
$$;
