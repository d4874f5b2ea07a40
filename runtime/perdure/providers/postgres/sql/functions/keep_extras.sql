-- Keeps what few turns have: keys, attributes, answers to updates; a part of commit_turns.
--
-- A row of `keys` without a key empties the map, and comes before those that fill it again; each key
-- comes once for a turn. The time of a write is that of the TURN record.
create or replace function keep_extras_v1(
  p_now timestamptz, p_extras extras_v1, p_seq int[]
) returns void
language plpgsql
set search_path from current
as $$
begin
  if p_extras.keys is not null then
    delete from key_value
     where ctid = any (array(
             select d.tid
               from unnest(p_extras.keys) k
              cross join lateral (
                select d.ctid as tid from key_value d
                 where d.instance = k.instance and (k.key is null or d.key = k.key)
                offset 0
              ) d
              where p_seq[k.turn] > 0 and k.value is null
           ));
    insert into key_value (instance, key, value, updated)
    select k.instance, k.key, k.value, p_now
      from unnest(p_extras.keys) k
     where p_seq[k.turn] > 0 and k.value is not null
    on conflict (instance, key) do update set value = excluded.value, updated = excluded.updated;
  end if;
  if p_extras.attributes is not null then
    update instance i
       set attributes = nullif(
             jsonb_strip_nulls(coalesce(i.attributes, '{}') || a.attributes::jsonb), '{}'
           )
      from unnest(p_extras.attributes) a
     cross join lateral (select i.ctid as tid from instance i where i.id = a.instance offset 0) k
     where p_seq[a.turn] > 0 and i.ctid = k.tid;
  end if;
  if p_extras.answers is not null then
    insert into answer (instance, id, result, failure)
    select a.instance, a.id, a.result, a.failure
      from unnest(p_extras.answers) a
     where p_seq[a.turn] > 0
    on conflict (instance, id) do update
      set result = excluded.result, failure = excluded.failure
      where answer.result is null and answer.failure is null;
  end if;
end
$$;
