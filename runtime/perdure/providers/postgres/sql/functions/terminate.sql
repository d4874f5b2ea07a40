-- Ends one instance and its unfinished descendants, but for those that are to outlive their parent;
-- a part of control and commit_turns, which hold all locks.
create or replace function terminate_v1(
  p_now timestamptz, p_command command_v1,
  out outcome smallint, out finished text[], out cancelled text[]
)
language plpgsql
set search_path from current
as $$
declare
  v_status smallint;
  v_tree text[];
  v_parent text;
  v_link json;
begin
  finished := '{}';
  cancelled := '{}';
  select i.status, i.parent into v_status, v_parent
    from instance i where i.id = p_command.instance;
  if v_status is null or v_status = -1 then
    outcome := 0;
    return;
  end if;
  if v_status > 0 then
    outcome := 3;
    return;
  end if;
  outcome := 1;
  v_tree := unfinished_tree_v1(array[p_command.instance]);

  if v_parent is not null then
    select e.body::json -> 'parent' into v_link
      from live l
     cross join lateral (
       select e.body from event e where e.instance = l.instance and e.seq = l.first_seq offset 0
     ) e
     where l.instance = p_command.instance;
    with told as (
      update live
         set next_seq = next_seq + 1,
             due = case
               when suspended or block_reason is not null then 'infinity'
               else least(due, p_now)
             end
       where instance = v_parent and execution = (v_link ->> 'execution')::int
      returning instance, next_seq, execution
    )
    insert into event (instance, seq, execution, kind, ref, body, at)
    select t.instance, t.next_seq - 1, t.execution, 8, v_link ->> 'operation', p_command.failure,
           p_now
      from told t;
  end if;

  select e.finished, e.cancelled into finished, cancelled
    from end_tree_v1(p_now, v_tree, p_command.reason, p_command.failure) e;
end
$$;
