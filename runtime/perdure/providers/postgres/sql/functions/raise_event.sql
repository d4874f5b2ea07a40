-- Raises an event for an instance, as start_orchestration_v1 starts one. Returns `accepted`, `kept`
-- where the instance is not there yet, `finished`, or `full`. Again with the same token: no more.
create or replace function raise_event_v1(
  p_instance text, p_name text, p_data jsonb default 'null', p_token bigint default null,
  p_now timestamptz default null
) returns text
language plpgsql security definer
set search_path from current
as $$
begin
  return send_one_v1(
    row(
      null, p_instance, 5, p_name, p_data, null, p_token, null, null, null, null, null, null, null,
      null, null
    )::message_v1, p_now
  );
end
$$;
