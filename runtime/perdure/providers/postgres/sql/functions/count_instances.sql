-- Counts instances by phase, of those that list_instances lists with this filter.
--
-- Without a filter what has ended is counted in the narrow table that has one row for each.
create or replace function count_instances_v1(p_filter filter_v1)
returns table (phase smallint, n bigint)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
  if p_filter.roots is false and p_filter.tenant is null and p_filter.name is null
     and p_filter.phases is null and p_filter.prefix is null and p_filter.parent is null
     and p_filter.version is null and p_filter.created_after is null
     and p_filter.created_before is null and p_filter.finished_after is null
     and p_filter.finished_before is null and p_filter.attributes is null then
    return query
      select e.status, count(*) from ended e group by 1
      union all
      select case
               when l.block_reason is not null then 3
               when l.suspended then 2
               when l.position > 0 then 1
               else 0
             end::smallint, count(*)
        from live l
       group by 1;
    return;
  end if;
  return query
    select f.phase, count(*)
      from (
        select case
                 when l.instance is null then i.status
                 when l.block_reason is not null then 3
                 when l.suspended then 2
                 when l.position > 0 then 1
                 else 0
               end::smallint as phase
          from instance i
          left join live l on l.instance = i.id
         where i.status >= 0
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
      ) f
     where p_filter.phases is null or f.phase = any (p_filter.phases)
     group by 1;
end
$$;
