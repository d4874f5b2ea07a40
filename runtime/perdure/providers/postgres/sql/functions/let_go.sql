-- Ends the ownership of sessions, whose rows the caller has locked: their activities are offered to
-- all again. Returns the tags of those that are due.
create or replace function let_go_v1(p_now timestamptz, p_sessions text[]) returns text[]
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
begin
  update activity
     set is_offered = true
   where ctid = any (array(
           select a.tid
             from unnest(p_sessions) u(id)
            cross join lateral (
              select a.ctid as tid from activity a where a.session = u.id and not a.is_offered
                 for no key update
            ) a
         ));
  delete from session where id = any (p_sessions);
  return array(
    select distinct a.tag
      from unnest(p_sessions) u(id)
     cross join lateral (
       select a.tag from activity a where a.session = u.id and a.due <= p_now offset 0
     ) a
  );
end
$$;
