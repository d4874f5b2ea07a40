-- Finds due activities of sessions, of one kind, for an executor that can own one session more, and
-- makes it the owner of theirs; a part of fetch_activities. Returns where at most `p_left` of them
-- are, locked; `is_more`: it stopped early, and is to be called again.
--
-- An activity whose session is another's is offered no more, until that owner lets go: so each of
-- them is looked at once, and not by everybody at every fetch. A session is locked after its
-- activities, and never waited for: whoever holds its row may wait for activities. The advisory lock
-- keeps two from making the row of a session at once, where they would wait for each other.
create or replace function claim_offered_v1(
  p_now timestamptz, p_executor bigint, p_limit int, p_lease interval, p_kind kind_v1, p_left int,
  out found_at tid[], out is_more boolean
)
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set enable_sort = off set jit = off
as $$
declare
  v_mine text[] := array(
    select s.id from session s where s.owner = p_executor and (s.lease_until - p_now) > interval '0'
  );
  v_row record;
  v_session session;
  v_tid tid;
  v_others int := 0;
begin
  found_at := '{}';
  is_more := false;
  for v_row in
    select a.ctid as tid, a.session
      from activity a
     where a.tag = p_kind.tag and a.name = p_kind.name and a.priority = p_kind.priority
       and a.due <= p_now and a.session is not null and a.is_offered
     order by a.tag, a.name, a.priority, a.due
  loop
    if v_row.session <> all (v_mine) then
      select * into v_session from session s where s.id = v_row.session for update skip locked;
      if found and v_session.owner <> p_executor and v_session.lease_until > p_now then
        update activity
           set is_offered = false
         where ctid = any (array(
                 select a.ctid from activity a where a.ctid = v_row.tid for no key update skip locked
               ));
        v_others := v_others + 1;
        is_more := v_others >= 1000;
        exit when is_more;
        continue;
      end if;
      exit when cardinality(v_mine) >= p_limit;
      if v_session.id is not null then
        update session
           set owner = p_executor, lease_until = p_now + p_lease, active = p_now
         where id = v_row.session;
      else
        -- Statements of their own: each sees what was committed before it.
        continue when exists (select from session s where s.id = v_row.session);
        continue when not pg_try_advisory_xact_lock(
          hashtext(current_schema()), hashtext(v_row.session)
        );
        insert into session (id, owner, lease_until, active)
        values (v_row.session, p_executor, p_now + p_lease, p_now)
        on conflict (id) do nothing;
        continue when not found;
      end if;
      v_mine := v_mine || v_row.session;
    end if;
    select a.ctid into v_tid
      from activity a where a.ctid = v_row.tid and a.due <= p_now for no key update skip locked;
    if found then
      found_at := found_at || v_tid;
      exit when cardinality(found_at) >= p_left;
    end if;
  end loop;
end
$$;
