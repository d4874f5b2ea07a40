-- Deletes messages whose instance nobody started in time, at most `p_limit`, and counts them.
create or replace function expire_early_v1(p_now timestamptz, p_limit int) returns int
language plpgsql security definer
set search_path from current
as $$
declare
  v_ids text[];
  v_count int := 0;
begin
  if not exists (select from early_message e where e.expires <= p_now) then
    return 0;
  end if;
  -- The row that stands for the id is locked first, as by those who keep and those who start.
  v_ids := array(
    select i.id
      from (
        select distinct d.instance
          from (
            select e.instance from early_message e where e.expires <= p_now
             order by e.expires limit p_limit
          ) d
      ) e
     cross join lateral (
       select i.id from instance i where i.id = e.instance and i.status = -1
          for update skip locked
     ) i
  );
  with gone as (
    delete from early_message e where e.instance = any (v_ids) and e.expires <= p_now returning 1
  )
  select count(*) into v_count from gone;
  delete from instance i
   where i.id = any (v_ids) and i.status = -1
     and not exists (select from early_message e where e.instance = i.id);
  if v_count > 0 then
    insert into tally (name, count) values ('expired_messages', v_count)
    on conflict (name) do update set count = tally.count + excluded.count;
  end if;
  return v_count;
end
$$;
