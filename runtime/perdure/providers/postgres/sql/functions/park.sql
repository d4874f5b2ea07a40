-- Suspends or resumes one instance; a part of control, which holds its lock. Resuming ends a
-- suspension and a block, and starts the count of attempts anew.
create or replace function park_v1(p_now timestamptz, p_instance text, p_suspend boolean)
returns smallint
language plpgsql
set search_path from current
as $$
declare
  v_row live;
begin
  select * into v_row from live where instance = p_instance;
  if not found then
    return coalesce((select 3 from instance where id = p_instance and status > 0), 0);
  end if;
  if p_suspend then
    if v_row.suspended then
      return 2;
    end if;
    update live set suspended = true, due = 'infinity' where instance = p_instance;
    return 1;
  end if;
  if not v_row.suspended and v_row.block_reason is null then
    return 2;
  end if;
  update live
     set suspended = false, block_reason = null, block_message = null, attempt = 0,
         due = case
           when passage = 1 then 'infinity'
           when block_reason is not null or next_seq > position + 1 then p_now
           else 'infinity'
         end
   where instance = p_instance;
  return 1;
end
$$;
