-- Lists instances, newest first; `p_after_created` and `p_after_id` are of the last one of the page
-- before (null: from the start). Null filters do not filter; `p_phases` as read_instances has them.
create or replace function list_instances_v1(
  p_limit int, p_after_created timestamptz, p_after_id text, p_tenant text, p_name text,
  p_phases smallint[], p_prefix text, p_parent text
) returns table (
  id text, tenant text, name text, version text, execution int, phase smallint,
  created timestamptz, finished timestamptz, parent text, output text, failure text,
  custom_status text, custom_version int, block_reason text, block_message text, length int,
  cancelled boolean
)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_custom_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  -- A condition that the planner can estimate: without it, the pages of a list that is nearly all
  -- of one phase would be sorted instead of walked.
  v_statuses smallint[] := array(
    select distinct case when p >= 5 then p else 0 end from unnest(p_phases) p
  );
begin
  return query
    select r.*
      from (
        select i.id
          from instance i
          left join live l on l.instance = i.id
         where i.status >= 0
           and (p_after_id is null or (i.created, i.id) < (p_after_created, p_after_id collate "C"))
           and (p_tenant is null or i.tenant = p_tenant)
           and (p_name is null or i.name = p_name)
           and (p_parent is null or i.parent = p_parent)
           and (p_prefix is null
                or i.id >= p_prefix and i.id < p_prefix || chr(1114111))
           and (p_phases is null or i.status = any (v_statuses))
           and (p_phases is null or i.status > 0
                or case
                     when l.block_reason is not null then 3
                     when l.suspended then 2
                     when l.position > 0 then 1
                     else 0
                   end = any (p_phases))
         order by i.created desc, i.id desc
         limit p_limit
      ) page
     cross join lateral read_instances_v1(array[page.id]) r
     order by r.created desc, r.id collate "C" desc;
end
$$;
