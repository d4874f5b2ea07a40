-- Reads the executors that announced themselves within the last minute.
create or replace function read_executors_v1(p_now timestamptz default null)
returns table (
  id bigint, seen timestamptz, role text, name text, build text, tags text[], code_names text[],
  code_versions text[], activities text[], slots int, busy int, draining boolean
)
language sql stable security definer
set search_path from current
set jit = off
as $$
  select e.id, e.seen, e.role, e.name, e.build, e.tags, e.code_names, e.code_versions,
         e.activities, e.slots, e.busy, e.draining
    from executor e
   where e.seen > coalesce(p_now, clock_timestamp()) - interval '1 minute'
   order by e.role, e.name, e.id
$$;
