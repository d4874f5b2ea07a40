-- Reads records of an instance in order: of one execution or all (null), `p_limit` 0 means all.
create or replace function read_history_v1(
  p_instance text, p_execution int, p_after int, p_limit int
) returns table (seq int, execution int, kind smallint, ref text, body text, at timestamptz)
language sql stable security definer
set search_path from current
set enable_seqscan = off set jit = off
as $$
  select e.seq, e.execution, e.kind, e.ref, e.body, e.at
    from event e
   where e.instance = p_instance and e.seq > p_after
     and (p_execution is null or e.execution = p_execution)
   order by e.seq
   limit nullif(p_limit, 0)
$$;
