-- Keeps one message for an instance that is not there yet; returns the outcome as send_v1 does.
--
-- A row of status -1 in `instance` stands for the id meanwhile. It is what makes this and a start
-- of the same id wait for one another: either the start finds the message, or we find the instance.
-- The answers of children are for instances that were, not for those to come: they are dropped.
-- What an instance that has ended had accepted while it ran is accepted when it is sent again.
create or replace function keep_early_v1(
  p_now timestamptz, p_message message_v1, p_keep interval, p_inbox int
) returns smallint
language plpgsql
set search_path from current
as $$
declare
  v_status smallint;
begin
  if p_message.kind not in (5, 6, 9, 10) then
    return 4;
  end if;
  insert into instance (id, status, created) values (p_message.instance, -1, p_now)
  on conflict (id) do nothing;
  select status into v_status from instance where id = p_message.instance;
  if v_status = -1 then
    select status into v_status from instance where id = p_message.instance for update;
  end if;
  if v_status > 0 then
    return case
      when p_message.token is not null and exists (
        select from event e
         where e.instance = p_message.instance and e.source = p_message.token
           and e.kind in (5, 6, 9, 10) and e.source is not null
      ) or p_message.kind = 10 and exists (
        select from answer a where a.instance = p_message.instance and a.id = p_message.ref
      ) then 1
      else 4
    end;
  elsif v_status = 0 or v_status is null then
    raise exception 'instance % was started while a message was kept for it', p_message.instance
      using errcode = 'serialization_failure';
  end if;
  if p_message.token is not null and exists (
    select from early_message e
     where e.instance = p_message.instance and e.token = p_message.token
       and e.token is not null
  ) then
    return 2;
  end if;
  if (select count(*) from early_message e where e.instance = p_message.instance) >= p_inbox then
    return 5;
  end if;
  insert into early_message (instance, expires, token, kind, ref, body)
  values (
    p_message.instance, p_now + p_keep, p_message.token, p_message.kind, p_message.ref,
    p_message.body
  );
  return 2;
end
$$;
