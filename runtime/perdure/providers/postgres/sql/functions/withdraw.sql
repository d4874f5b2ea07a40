-- Forgets an executor at once.
create or replace function withdraw_v1(p_id bigint) returns void
language sql security definer
set search_path from current
as $$
  delete from executor where id = p_id
$$;
