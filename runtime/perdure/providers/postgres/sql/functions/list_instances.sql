-- Lists instances, newest first; `p_after_created` and `p_after_id` are of the last one of the page
-- before (null: from the start). What is null in the filter does not filter; its `phases` are as
-- read_instances has them, its times from the first on and before the second.
--
-- Planned anew for each call, so that the indexes of what is asked for are used. Where only unfinished
-- ones are wanted and there are few, they are looked up instead of walking past all that have ended.
create or replace function list_instances_v1(
  p_limit int, p_after_created timestamptz, p_after_id text, p_filter filter_v1
) returns table (
  id text, tenant text, name text, version text, execution int, phase smallint,
  created timestamptz, finished timestamptz, parent text, output text, failure text,
  custom_status text, custom_version int, block_reason text, block_message text, length int,
  cancelled boolean, attributes text, limit_key text, awaits_limit boolean
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
    select distinct case when p >= 5 then p else 0 end from unnest(p_filter.phases) p
  );
  v_few text[];
begin
  if v_statuses = '{0}' then
    v_few := array(select l.instance from live l limit 5001);
    if cardinality(v_few) > 5000 then
      v_few := null;
    end if;
  end if;
  return query
    select r.*
      from (
        select i.id
          from instance i
          left join live l on l.instance = i.id
         where i.status >= 0
           and (v_few is null or i.id = any (v_few))
           and (p_after_id is null or (i.created, i.id) < (p_after_created, p_after_id collate "C"))
           and (p_filter.tenant is null or i.tenant = p_filter.tenant)
           and (p_filter.name is null or i.name = p_filter.name)
           and (p_filter.parent is null or i.parent = p_filter.parent)
           and (not p_filter.roots or i.parent is null)
           and (p_filter.version is null
                or coalesce(nullif(l.version, ''), i.version) = p_filter.version)
           and (p_filter.prefix is null
                or i.id >= p_filter.prefix and i.id < p_filter.prefix || chr(1114111))
           and (p_filter.created_after is null or i.created >= p_filter.created_after)
           and (p_filter.created_before is null or i.created < p_filter.created_before)
           and (p_filter.finished_after is null or i.finished >= p_filter.finished_after)
           and (p_filter.finished_before is null or i.finished < p_filter.finished_before)
           and (p_filter.attributes is null or i.attributes @> p_filter.attributes::jsonb)
           and (p_filter.phases is null or i.status = any (v_statuses))
           and (p_filter.phases is null or i.status > 0
                or case
                     when l.block_reason is not null then 3
                     when l.suspended then 2
                     when l.position > 0 then 1
                     else 0
                   end = any (p_filter.phases))
         order by i.created desc, i.id desc
         limit p_limit
      ) page
     cross join lateral read_instances_v1(array[page.id]) r
     order by r.created desc, r.id collate "C" desc;
end
$$;
