-- Makes an activity or an instance of a limited key wait until it is admitted.
--
-- A trigger, so that it costs nothing where there is no key and no way in can forget it. The gate is
-- not locked here: who commits a turn holds other locks, and holds them until the disk has it.
create or replace function limit_enter_v1() returns trigger
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  if exists (select from gate g where g.limit_key = new.limit_key) then
    new.passage := 1;
    new.due := 'infinity';
    new.arrival := nextval('gate_arrival');
    insert into gate_news (limit_key, due, gone) values (new.limit_key, '-infinity', 0);
  end if;
  return new;
end
$$;

create or replace trigger activity_limit_enter before insert on activity
  for each row when (new.limit_key is not null) execute function limit_enter_v1();
create or replace trigger live_limit_enter before insert on live
  for each row when (new.limit_key is not null) execute function limit_enter_v1();
