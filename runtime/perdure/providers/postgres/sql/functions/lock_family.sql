-- Locks what a batch of commits touches, with the trees beneath the children that it terminates; a
-- part of commit_turns. Raises serialization_failure when a tree grew meanwhile: the call is then to
-- be repeated.
create or replace function lock_family_v1(p_locks text[], p_terminates cancel_v1[]) returns void
language plpgsql
set search_path from current
as $$
declare
  v_roots text[] := array(
    select c.op
      from unnest(p_terminates) c
     where exists (select from instance i where i.id = c.op and i.parent = c.instance)
  );
  v_tree text[] := unfinished_tree_v1(v_roots);
begin
  perform l.one
     from (
       select distinct a.id collate "C" as id from unnest(p_locks || v_tree) a(id) order by 1
     ) u
    cross join lateral (
      select 1 as one from live l where l.instance = u.id for no key update
    ) l;
  if not unfinished_tree_v1(v_roots) <@ v_tree then
    raise exception 'a tree grew while it was terminated' using errcode = 'serialization_failure';
  end if;
end
$$;
