-- Hints for tags, by lines: the letter of the hint before each, since a tag may be empty. Null for none.
create or replace function admitted_lines_v1(p_tags text[]) returns text
language sql immutable
set search_path from current
as $$
  select string_agg('a' || u.tag, e'\n') from unnest(p_tags) u(tag)
$$;
