-- Puts data into a queue of an instance; returns and repeats as raise_event_v1 does.
create or replace function enqueue_event_v1(
  p_instance text, p_queue text, p_data jsonb default 'null', p_token bigint default null,
  p_now timestamptz default null
) returns text
language plpgsql security definer
set search_path from current
as $$
begin
  return send_one_v1(
    row(
      null, p_instance, 6, p_queue, p_data, null, p_token, null, null, null, null, null, null, null,
      null, null
    )::message_v1, p_now
  );
end
$$;
