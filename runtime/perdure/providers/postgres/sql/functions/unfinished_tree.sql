-- These instances and their descendants, as far as they are unfinished and do not outlive their
-- parents; a part of control. Goes down level by level, through the index on parents.
create or replace function unfinished_tree_v1(p_roots text[]) returns text[]
language plpgsql stable
set search_path from current
as $$
declare
  v_level text[] := array(
    select i.id
      from unnest(p_roots) u(id)
     cross join lateral (select i.id from instance i where i.id = u.id and i.status = 0 offset 0) i
  );
  v_tree text[] := '{}';
begin
  while cardinality(v_level) > 0 loop
    v_tree := v_tree || v_level;
    v_level := array(
      select i.id
        from unnest(v_level) u(id)
       cross join lateral (
         select i.id from instance i
          where i.parent = u.id and i.status = 0 and i.parent_close <> 2
         offset 0
       ) i
    );
  end loop;
  return v_tree;
end
$$;
