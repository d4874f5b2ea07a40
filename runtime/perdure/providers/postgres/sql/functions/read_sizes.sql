-- Measures instances, in their order; no row for one that is not there. Reads all their records.
create or replace function read_sizes_v1(p_ids text[])
returns table (id text, records bigint, bytes bigint, unread int, keys bigint, key_bytes bigint)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select i.id, e.records, e.bytes,
           coalesce(l.next_seq - 1 - l.position - (l.position >= l.first_seq)::int, 0),
           k.keys, k.bytes
      from unnest(p_ids) u(id)
     cross join lateral (select i.id from instance i where i.id = u.id and i.status >= 0 offset 0) i
      left join lateral (select l.* from live l where l.instance = u.id offset 0) l on true
     cross join lateral (
       select count(*) as records, coalesce(sum(octet_length(e.body)), 0)::bigint as bytes
         from event e where e.instance = u.id
     ) e
     cross join lateral (
       select count(*) as keys,
              coalesce(sum(octet_length(k.key) + octet_length(k.value)), 0)::bigint as bytes
         from key_value k where k.instance = u.id
     ) k;
end
$$;
