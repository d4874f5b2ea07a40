-- Terminates children of the instances whose turns ask for it; a part of commit_turns, which holds
-- all locks. What is nobody's child, or another's, is left alone. `watched`: whose change is news.
create or replace function terminate_children_v1(
  p_now timestamptz, p_terminates cancel_v1[], p_seq int[],
  out finished text[], out cancelled text[], out watched text[]
)
language plpgsql
set search_path from current
as $$
declare
  c cancel_v1;
  v_ended text[];
  v_busy text[];
begin
  finished := '{}';
  cancelled := '{}';
  foreach c in array p_terminates loop
    continue when p_seq[c.turn] = 0
      or not exists (select from instance i where i.id = c.op and i.parent = c.instance);
    select t.finished, t.cancelled into v_ended, v_busy
      from terminate_v1(
        p_now, row(c.op, 'terminate', 'its parent ended', c.reason)::command_v1
      ) t;
    finished := finished || v_ended;
    cancelled := cancelled || v_busy;
  end loop;
  watched := array(
    select i.id
      from unnest(finished) u(id)
     cross join lateral (select i.id from instance i where i.id = u.id and i.watched offset 0) i
  );
end
$$;
