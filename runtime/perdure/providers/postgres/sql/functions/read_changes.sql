-- Reads the change feed after a cursor: about `p_limit` ids (what one transaction changed is never
-- cut apart), each with the cursor that it moves to.
--
-- Reads only what is older than every transaction still running: one that began earlier may commit
-- later, and its changes would be passed by. So a change shows when all older writes have ended.
create or replace function read_changes_v1(p_cursor bigint, p_limit int)
returns table (cursor bigint, instance text)
language sql volatile security definer
set search_path from current
set jit = off
as $$
  select c.xid::text::bigint, c.instance
    from change c
   where c.xid > p_cursor::text::xid8
     and c.xid < pg_snapshot_xmin(pg_current_snapshot())
   order by c.xid
   fetch first p_limit rows with ties
$$;
