-- Reads the key-value maps of instances, or one key of each (null: all); by place and key. Nothing for
-- an instance that there is not.
create or replace function read_keys_v1(p_ids text[], p_key text)
returns table (place bigint, key text, value text, updated timestamptz)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  if p_key is null then
    return query
      select u.ord, k.key, k.value, k.updated
        from unnest(p_ids) with ordinality u(id, ord)
       cross join lateral (select k.* from key_value k where k.instance = u.id offset 0) k
       order by u.ord, k.key;
  else
    return query
      select u.ord, k.key, k.value, k.updated
        from unnest(p_ids) with ordinality u(id, ord)
       cross join lateral (
         select k.* from key_value k where k.instance = u.id and k.key = p_key offset 0
       ) k
       order by u.ord;
  end if;
end
$$;
