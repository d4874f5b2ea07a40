-- Sends one message and tells the replayers; the part that the functions for writers of SQL share.
create or replace function send_one_v1(p_message message_v1, p_now timestamptz) returns text
language plpgsql
set search_path from current
as $$
declare
  v_outcome smallint;
begin
  if coalesce(octet_length(p_message.instance) not between 1 and 253, true)
     or p_message.instance ~ '[[:cntrl:]]' then
    raise exception '% is no id of an instance', p_message.instance
      using errcode = 'invalid_parameter_value',
            hint = 'An id has 1 to 253 bytes and no control characters.';
  end if;
  v_outcome := (enqueue_v1(array[p_message], interval '7 days', 10000, p_now))[1];
  if v_outcome = 1 then
    -- As the provider names its channels: a prefix, a digest of the schema's name, a letter.
    perform pg_notify('perdure_' || md5(current_schema()) || '_t', 't');
  end if;
  return (array['accepted', 'kept', 'exists', 'finished', 'full'])[v_outcome];
end
$$;
