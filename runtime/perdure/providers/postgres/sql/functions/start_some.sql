-- The slow path of starting: some ids are taken, doubled in the batch, or awaited by messages.
--
-- `p_new` are the ids that were just inserted. An id that messages wait for (status -1) becomes an
-- instance, and they are delivered in the order of their arrival. The same token again is accepted.
create or replace function start_some_v1(
  p_now timestamptz, p_messages message_v1[], p_new text[], p_outcomes smallint[]
) returns smallint[]
language plpgsql
set search_path from current
as $$
declare
  m message_v1;
  v_new text[] := p_new;
  v_row instance;
  v_early int;
  v_cancelled boolean;
begin
  for i in 1 .. cardinality(p_messages) loop
    m := p_messages[i];
    continue when m.kind <> 1;
    v_early := 0;
    if m.instance = any (v_new) then
      v_new := array_remove(v_new, m.instance);
    else
      -- Locked only while it is awaited: what is started is locked by way of `live`.
      select * into v_row from instance where id = m.instance;
      if v_row.status = -1 then
        select * into v_row from instance where id = m.instance for update;
      end if;
      if not found then
        raise exception 'instance % went away while it was looked at', m.instance
          using errcode = 'serialization_failure';
      end if;
      if v_row.status <> -1 then
        p_outcomes[i] := case when v_row.token = m.token then 1 else 3 end;
        continue;
      end if;
      update instance
         set tenant = case when m.tenant = '' and m.sender is not null then coalesce(
               (select s.tenant from instance s where s.id = m.sender), ''
             ) else m.tenant end,
             name = m.name, version = m.version, parent = m.parent, watched = m.watched,
             status = 0, created = p_now, token = m.token, parent_close = m.parent_close,
             limit_key = m.limit_key, attributes = m.attributes::jsonb
       where id = m.instance;
      with early as (
        delete from early_message where instance = m.instance returning *
      ), added as (
        insert into event (instance, seq, execution, kind, ref, body, at, source)
        select m.instance, 1 + row_number() over (order by id), 1, kind, ref, body, p_now, token
          from early
        returning kind, ref
      ), awaited as (
        insert into answer (instance, id)
        select m.instance, a.ref from added a where a.kind = 10
        on conflict do nothing
      )
      select count(*) into v_early from added;
    end if;
    select v_early > 0 and exists (select from event where instance = m.instance and kind = 9)
      into v_cancelled;
    insert into live (instance, name, version, next_seq, due, watched, cancelled, limit_key)
    values (
      m.instance, m.name, coalesce(m.version, ''), 2 + v_early, p_now, m.watched, v_cancelled,
      case when v_cancelled then null else m.limit_key end
    );
    insert into event (instance, seq, execution, kind, ref, body, at, source)
    values (m.instance, 1, 1, 1, m.ref, m.body, p_now, m.token);
  end loop;
  return p_outcomes;
end
$$;
