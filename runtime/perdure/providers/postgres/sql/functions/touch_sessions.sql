-- Notes that sessions are in use, as far as somebody owns them; a part of fetching, renewing and
-- finishing. One that is locked is passed by: whoever has it notes the same, or is ending it.
create or replace function touch_sessions_v1(p_now timestamptz, p_sessions text[]) returns void
language sql
set search_path from current
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
  update session
     set active = p_now
   where ctid = any (array(
           select s.ctid from session s
            where s.id = any (p_sessions) and (s.lease_until - p_now) > interval '0'
              for no key update skip locked
         ))
$$;
