-- An instance and everything beneath it, sorted; a part of delete_instances and retire. Goes down level
-- by level, through the index on parents.
create or replace function whole_tree_v1(p_root text) returns text[]
language plpgsql stable
set search_path from current
as $$
declare
  v_level text[] := array[p_root];
  v_tree text[] := '{}';
begin
  while cardinality(v_level) > 0 loop
    v_tree := v_tree || v_level;
    v_level := array(
      select i.id
        from unnest(v_level) u(id)
       cross join lateral (
         select i.id from instance i where i.parent = u.id and i.status >= 0 offset 0
       ) i
       where i.id <> all (v_tree)
    );
  end loop;
  return array(select u.id from unnest(v_tree) u(id) order by u.id collate "C");
end
$$;
