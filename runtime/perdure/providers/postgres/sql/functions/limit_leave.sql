-- Leaves word that an activity or an instance that its limit counted is gone, whatever took it.
create or replace function limit_leave_v1() returns trigger
language plpgsql
set search_path from current
as $$
begin
  insert into gate_news (limit_key, due, gone) values (old.limit_key, '-infinity', 1);
  return null;
end
$$;

create or replace trigger activity_limit_leave after delete on activity
  for each row when (old.passage = 2) execute function limit_leave_v1();
create or replace trigger live_limit_leave after delete on live
  for each row when (old.passage = 2) execute function limit_leave_v1();
