-- Tells parents that the id of a child they started is another instance's; a part of commit_turns.
create or replace function tell_taken_v1(
  p_now timestamptz, p_messages message_v1[], p_outcomes smallint[], p_taken text
) returns void
language plpgsql
set search_path from current
as $$
declare
  m message_v1;
begin
  for i in 1 .. cardinality(p_messages) loop
    m := p_messages[i];
    continue when p_outcomes[i] <> 3 or m.parent is null;
    insert into event (instance, seq, execution, kind, ref, body, at)
    select l.instance, l.next_seq, l.execution, 8, m.body::json -> 'parent' ->> 'operation',
           p_taken, p_now
      from live l
     where l.instance = m.parent;
    update live
       set next_seq = next_seq + 1,
           due = case when suspended or block_reason is not null then 'infinity' else p_now end
     where instance = m.parent;
  end loop;
end
$$;
