-- Deletes cancelled timers, and all of the executions that end; a part of commit_turns.
--
-- A timer that is being fired in this very moment is left to whoever fires it: they hold its row
-- and wait for the lock of the instance, which we have. They drop it if the execution is over.
create or replace function drop_timers_v1(
  p_turns turn_v1[], p_seq int[], p_cancels cancel_v1[]
) returns void
language plpgsql
set search_path from current
as $$
begin
  delete from timer
   where ctid = any (array(
           select d.tid
             from unnest(p_cancels) c
            cross join lateral (
              select d.ctid as tid from timer d
               where d.instance = c.instance and d.execution = c.execution and d.op = c.op
                 for update skip locked
            ) d
            where p_seq[c.turn] > 0
         ))
      or ctid = any (array(
           select d.tid
             from unnest(p_turns) with ordinality t
            cross join lateral (
              select d.ctid as tid from timer d where d.instance = t.instance
                 for update skip locked
            ) d
            where t.ending > 0 and p_seq[t.ordinality] > 0
         ));
end
$$;
