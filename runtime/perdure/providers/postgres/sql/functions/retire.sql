-- Deletes trees that have ended, oldest end of the root first, at most `p_limit` of them. A null filter
-- does not filter. At most `p_scan` ends are looked at, from the one after `p_after` and `p_after_id`
-- on; `last_at` and `last_id` are where to go on, `is_last` says that there is nothing to go on to.
--
-- A tree in which anything has not ended is left, and one that somebody else deletes in this moment.
create or replace function retire_v1(
  p_limit int, p_scan int, p_before timestamptz, p_older interval, p_tenant text, p_name text,
  p_statuses smallint[], p_after timestamptz, p_after_id text, p_now timestamptz default null,
  out roots int, out instances bigint, out records bigint, out is_last boolean,
  out last_at timestamptz, out last_id text, out is_changed boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_before timestamptz := least(p_before, v_now - p_older, 'infinity');
  v_row record;
  v_tree text[];
  v_records bigint;
  v_scanned int := 0;
begin
  roots := 0;
  instances := 0;
  records := 0;
  is_changed := false;
  for v_row in
    select e.at, e.instance, e.tid, e.is_wanted
      from (
        select d.at, d.instance, d.ctid as tid,
               (p_statuses is null or d.status = any (p_statuses)) and (
                 select (p_tenant is null or i.tenant = p_tenant)
                        and (p_name is null or i.name = p_name)
                        and (select true from instance o
                              where o.id = i.parent and o.status >= 0 limit 1) is null
                   from instance i
                  where i.id = d.instance
                  limit 1
               ) as is_wanted
          from ended d
         where d.at < v_before and (d.at, d.instance) > (p_after, p_after_id)
         order by d.at, d.instance
         limit p_scan
      ) e
  loop
    v_scanned := v_scanned + 1;
    last_at := v_row.at;
    last_id := v_row.instance;
    continue when not v_row.is_wanted;
    perform from ended d where d.ctid = v_row.tid for update skip locked;
    continue when not found;
    v_tree := whole_tree_v1(v_row.instance);
    continue when exists (
      select from unnest(v_tree) u(id)
       cross join lateral (select from live l where l.instance = u.id offset 0) l
    );
    is_changed := is_changed or exists (
      select from unnest(v_tree) u(id)
       cross join lateral (select from change c where c.instance = u.id offset 0) c
    );
    select r.records into v_records from remove_tree_v1(v_now, v_tree) r;
    roots := roots + 1;
    instances := instances + cardinality(v_tree);
    records := records + v_records;
    exit when roots >= p_limit;
  end loop;
  is_last := v_scanned < p_scan and roots < p_limit;
end
$$;
