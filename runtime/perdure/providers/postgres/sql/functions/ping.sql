-- Fails unless the schema is there; returns the number of its newest migration.
create or replace function ping_v1() returns int
language sql stable security definer
set search_path from current
as $$
  select max(number) from migration
$$;
