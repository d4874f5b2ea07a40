-- Answers the updates that arrived while the last turn of an instance ran, which no code will see any
-- more; a part of commit_turns.
create or replace function answer_late_v1(p_turns turn_v1[], p_seq int[], p_over text) returns void
language plpgsql
set search_path from current
as $$
begin
  update answer a
     set failure = p_over
    from unnest(p_turns) with ordinality t
   cross join lateral (
     select a.ctid as tid from answer a
      where a.instance = t.instance and a.result is null and a.failure is null
     offset 0
   ) k
   where t.ending > 1 and p_seq[t.ordinality] > 0 and a.ctid = k.tid;
end
$$;
