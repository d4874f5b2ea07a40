-- Reads instances by id, in the order of the ids; no row for one that is not there.
--
-- `phase` is 0 pending, 1 running, 2 suspended, 3 blocked, or the outcome from 5 on.
create or replace function read_instances_v1(p_ids text[])
returns table (
  id text, tenant text, name text, version text, execution int, phase smallint,
  created timestamptz, finished timestamptz, parent text, output text, failure text,
  custom_status text, custom_version int, block_reason text, block_message text, length int,
  cancelled boolean, attributes text, limit_key text, awaits_limit boolean
)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select i.id, i.tenant, i.name, coalesce(nullif(l.version, ''), i.version),
           coalesce(l.execution, i.execution),
           case
             when l.instance is null then i.status
             when l.block_reason is not null then 3
             when l.suspended then 2
             when l.position > 0 then 1
             else 0
           end::smallint,
           i.created, i.finished, i.parent, i.output, i.failure, i.custom_status, i.custom_version,
           l.block_reason, l.block_message, coalesce(l.next_seq - 1, i.length),
           coalesce(l.cancelled, i.cancelled), i.attributes::text, i.limit_key,
           coalesce(l.passage = 1, false)
      from unnest(p_ids) with ordinality u(id, ord)
     cross join lateral (select i.* from instance i where i.id = u.id and i.status >= 0 offset 0) i
      left join lateral (select l.* from live l where l.instance = u.id offset 0) l on true
     order by u.ord;
end
$$;
