-- Lets a role, and its members, take activities of exactly these tags; an empty array takes all
-- away. The empty tag is that of activities which name none.
create or replace function allow_tags_v1(p_role text, p_tags text[]) returns void
language sql security definer
set search_path from current
as $$
  delete from tag_grant where role = p_role::name and tag <> all (p_tags);
  insert into tag_grant (role, tag)
  select p_role::name, t.tag from unnest(p_tags) t(tag)
  on conflict do nothing
$$;
