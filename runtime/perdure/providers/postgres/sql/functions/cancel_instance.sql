-- Asks an instance to stop; returns and repeats as raise_event_v1 does.
create or replace function cancel_instance_v1(
  p_instance text, p_reason text default '', p_token bigint default null,
  p_now timestamptz default null
) returns text
language plpgsql security definer
set search_path from current
as $$
begin
  return send_one_v1(
    row(
      null, p_instance, 9, null, to_json(p_reason), null, p_token, null, null, null, null, null,
      null, null, null, null
    )::message_v1, p_now
  );
end
$$;
