-- Starts an orchestration, for anybody who writes SQL: in the caller's own transaction, in any
-- language, in a trigger. What the client's `start` does, is done when that transaction commits.
--
-- Returns `accepted`, or `exists` where the id is taken; with the token of an earlier call, which
-- anybody may choose, that is `accepted` too. `p_input` holds the arguments by name.
create or replace function start_orchestration_v1(
  p_instance text, p_name text, p_input jsonb default '{}', p_version text default null,
  p_tenant text default '', p_priority int default 0, p_limit_key text default null,
  p_attributes jsonb default null, p_token bigint default null, p_now timestamptz default null
) returns text
language plpgsql security definer
set search_path from current
as $$
begin
  if coalesce(octet_length(p_name) not between 1 and 253, true) or p_name ~ '[[:cntrl:]]' then
    raise exception 'start_orchestration: % is no name of an orchestration', p_name
      using errcode = 'invalid_parameter_value';
  end if;
  if strpos(p_instance, '::') > 0 then
    raise exception 'start_orchestration: instance id % has ''::'', which marks the ids of children',
      p_instance using errcode = 'invalid_parameter_value';
  end if;
  if coalesce(jsonb_typeof(p_input), '') <> 'object' then
    raise exception 'start_orchestration: p_input is %, not an object of arguments by name', p_input
      using errcode = 'invalid_parameter_value';
  end if;
  return send_one_v1(
    row(
      null, p_instance, 1, null, jsonb_strip_nulls(jsonb_build_object(
        'name', p_name, 'version', p_version, 'priority', nullif(p_priority, 0),
        'attributes', p_attributes
      ))::jsonb || jsonb_build_object('input', p_input), null, p_token, p_name, p_version, p_tenant,
      null, false, 0, p_attributes, p_limit_key, null
    )::message_v1, p_now
  );
end
$$;
