-- Reads the answers of one instance to updates and questions: one row for each that is answered.
create or replace function read_answers_v1(p_instance text, p_ids text[])
returns table (id text, result text, failure text)
language plpgsql stable security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
begin
  return query
    select u.id, a.result, a.failure
      from unnest(p_ids) u(id)
     cross join lateral (
       select a.result, a.failure from answer a where a.instance = p_instance and a.id = u.id
       union all
       select q.result, q.failure from question q where q.instance = p_instance and q.id = u.id
     ) a
     where a.result is not null or a.failure is not null;
end
$$;
