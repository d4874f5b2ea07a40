-- Leases due activities of the given tags and names (null: any name), and counts an attempt on each:
-- those of greater priority first, then the kind whose first has waited longest, and within a kind
-- the oldest.
--
-- With a `p_session_limit`, those of sessions too: of what the executor owns, and, while it owns
-- fewer sessions, of what nobody owns (any more), which it then owns for `p_session_lease`. Those
-- whose limit has room are admitted first. What was cancelled and whose lease has ended goes on the
-- way.
--
-- Returns one row for each, and at the end one row without an instance: `queued` is the time now,
-- `next_due` when to ask again (null: nothing is scheduled), `input` what
-- admitted_lines_v1 makes of the tags of what others may take since limits admitted it or sessions were
-- let go, `attempt` whether instances were
-- admitted (1) or not. Only leases are written, and what the next call would find to do again: so the
-- commit does not wait for the disk.
create or replace function fetch_activities_v1(
  p_executor bigint, p_token bigint, p_tags text[], p_names text[], p_limit int, p_lease interval,
  p_session_limit int, p_session_lease interval, p_now timestamptz default null
) returns table (
  instance text, execution int, op text, name text, tag text, input text, retry text,
  timeout interval, attempt int, failures int, queued timestamptz, started timestamptz,
  details text, options options_v1, next_due timestamptz
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_left int := p_limit;
  v_kinds kind_v1[];
  v_kind kind_v1;
  v_leased int;
  v_rows tid[];
  v_expired text[];
  v_sessions text[];
  v_tags text[] := '{}';
  v_has_turns boolean := false;
  v_is_more boolean := false;
begin
  perform check_tags_v1(p_tags);
  perform set_config('synchronous_commit', 'off', true);
  if exists (select from gate_news n where n.due <= v_now) then
    select s.tags, s.has_turns into v_tags, v_has_turns from settle_limits_v1(v_now) s;
  end if;
  v_kinds := activity_kinds_v1(p_tags, p_names);
  if p_session_limit is not null then
    v_expired := array(
      select s.id from session s where s.lease_until <= v_now
       order by s.lease_until limit 100 for update skip locked
    );
    if cardinality(v_expired) > 0 then
      v_tags := v_tags || let_go_v1(v_now, v_expired);
    end if;
    v_sessions := array(
      select s.id from session s
       where s.owner = p_executor and (s.lease_until - v_now) > interval '0'
    );
    v_kinds := v_kinds || session_kinds_v1(
      p_tags, p_names, v_sessions, cardinality(v_sessions) < p_session_limit
    );
  end if;

  for v_kind in
    select * from unnest(v_kinds) k where k.due <= v_now order by k.priority desc, k.due
  loop
    loop
      if v_kind.session is null then
        v_rows := array(
          select a.ctid from activity a
           where a.tag = v_kind.tag and a.name = v_kind.name and a.priority = v_kind.priority
             and a.due <= v_now and a.session is null
           order by a.due limit v_left
             for no key update skip locked
        );
      elsif v_kind.session = '' then
        select c.found_at, c.is_more or v_is_more into v_rows, v_is_more
          from claim_offered_v1(
            v_now, p_executor, p_session_limit, p_session_lease, v_kind, v_left
          ) c;
      else
        v_rows := array(
          select a.ctid from activity a
           where a.session = v_kind.session and a.tag = v_kind.tag and a.name = v_kind.name
             and a.priority = v_kind.priority and a.due <= v_now
           order by a.due limit v_left
             for no key update skip locked
        );
      end if;
      exit when cardinality(v_rows) = 0;
      return query
        update activity a
           set lease = p_token, due = v_now + p_lease, attempt = a.attempt + 1, start_by = null,
               started = coalesce(a.started, v_now)
         where a.ctid = any (v_rows) and a.cancel_reason is null
        returning a.instance, a.execution, a.op, a.name, a.tag, a.input, a.retry, a.timeout,
                  a.attempt, a.failures, a.queued, a.started, a.details,
                  case
                    when a.session is not null or a.priority <> 0 or a.limit_key is not null
                         or a.queue_timeout is not null or a.heartbeat is not null
                    then row(
                      a.session, a.priority, a.limit_key, a.queue_timeout, a.heartbeat
                    )::options_v1
                  end,
                  null::timestamptz;
      get diagnostics v_leased = row_count;
      v_left := v_left - v_leased;
      if v_kind.session <> '' then
        perform touch_sessions_v1(v_now, array[v_kind.session]);
      end if;
      exit when v_leased = cardinality(v_rows);
      delete from activity a where a.ctid = any (v_rows) and a.cancel_reason is not null;
      exit when v_left = 0 or v_kind.session = '';
    end loop;
    exit when v_left = 0;
  end loop;

  return query
    select null::text, null::int, null::text, null::text, null::text,
           admitted_lines_v1(v_tags), null::text, null::interval, v_has_turns::int, null::int,
           v_now, null::timestamptz, null::text, null::options_v1,
           case
             when v_left = 0 or v_is_more then v_now
             else next_activity_due_v1(v_now, v_kinds, p_session_limit is not null)
           end;
end
$$;
