-- Raises insufficient_privilege unless the caller's login may take activities of all these tags.
--
-- Inside a function that runs as the owner, `session_user` is still who logged in. Owners, members of
-- the owner's role and admins may take everything; others what `tag_grant` gives them or a role that
-- they are a member of.
create or replace function check_tags_v1(p_tags text[]) returns void
language plpgsql stable
set search_path from current
as $$
declare
  v_tag text;
begin
  if session_user = current_user or pg_has_role(session_user, current_user, 'member') then
    return;
  end if;
  if exists (
    select from pg_roles r
     where r.rolname = 'perdure_admin' and pg_has_role(session_user, r.oid, 'member')
  ) then
    return;
  end if;
  select t.tag into v_tag
    from unnest(p_tags) t(tag)
   where not exists (
     select from tag_grant g
       join pg_roles r on r.rolname = g.role
      where g.tag = t.tag and pg_has_role(session_user, r.oid, 'member')
   )
   limit 1;
  if found then
    raise exception 'role % may not take activities of the tag "%"', session_user, v_tag
      using errcode = 'insufficient_privilege',
            hint = 'An admin allows it: select allow_tags_v1(role, array[tags])';
  end if;
end
$$;
