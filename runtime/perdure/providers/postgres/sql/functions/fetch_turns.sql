-- Leases instances that are due and whose code the caller has, oldest first. Before that it fires
-- due timers, fails activities that nobody started in time, and admits what limits have room for.
--
-- `p_names` and `p_versions` are the caller's code; an instance that has not resolved its version
-- is found under its name and an empty version. Instances that others hold in this moment are
-- skipped, so that two callers share the work.
--
-- A caller that does not hold an execution is sent its history, as far as that goes into an equal
-- share of `p_history_bytes`: of a longer one it reads the rest itself, one after the other.
--
-- Returns one row for each record that the holder lacks (at least one row for each turn, without a
-- `seq` when it lacks none), by turn and `seq`, and at the end one row without an instance: `at` is
-- the time of these turns, `next_due` when to ask again (null: nothing is scheduled), `upto` how
-- many instances others may have to run now, `body` what admitted_lines_v1 makes of the tags of
-- activities that limits admitted. Only leases are written, and what the next call would find to do again: so the commit
-- does not wait for the disk.
create or replace function fetch_turns_v1(
  p_executor bigint, p_token bigint, p_limit int, p_lease interval, p_names text[],
  p_versions text[], p_history_bytes int, p_now timestamptz default null
) returns table (
  instance text, execution int, name text, version text, attempt int, upto int, held boolean,
  seq int, kind smallint, at timestamptz, ref text, body text, next_due timestamptz
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
#variable_conflict use_column
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_fired int := 0;
  v_tags text[];
  v_has_turns boolean;
  v_left int := p_limit;
  v_code record;
  v_instances text[];
  v_executions int[];
  v_attempts int[];
  v_uptos int[];
  v_helds boolean[];
  v_afters int[];
  v_share int;
begin
  perform set_config('synchronous_commit', 'off', true);
  if exists (select from timer t where t.due <= v_now) then
    v_fired := fire_timers_v1(v_now, 1000);
  end if;
  if exists (select from activity a where a.start_by <= v_now) then
    v_fired := v_fired + expire_waiting_v1(v_now, 1000);
  end if;
  if exists (select from gate_news n where n.due <= v_now) then
    select s.tags, s.has_turns into v_tags, v_has_turns from settle_limits_v1(v_now) s;
    v_fired := v_fired + v_has_turns::int;
  end if;

  for v_code in
    select c.name, c.version
      from unnest(p_names, p_versions) c(name, version)
     cross join lateral (
       select l.due from live l
        where l.name = c.name and l.version = c.version and l.due <= v_now
          and l.due < 'infinity' and l.lease_until <= v_now
        order by l.due limit 1
     ) h
     order by h.due
  loop
    with leased as (
      update live l
         set lease = p_token, lease_until = v_now + p_lease, upto = l.next_seq - 1,
             attempt = l.attempt + 1, held = l.held and l.holder = p_executor, holder = p_executor
       where l.ctid = any (array(
               select d.ctid from live d
                where d.name = v_code.name and d.version = v_code.version and d.due <= v_now
                  and d.due < 'infinity' and d.lease_until <= v_now
                order by d.due limit v_left
                  for no key update skip locked
             ))
      returning l.instance, l.execution, l.attempt, l.upto, l.held,
                case when l.held then l.position else l.first_seq - 1 end as after
    )
    select array_agg(l.instance), array_agg(l.execution), array_agg(l.attempt), array_agg(l.upto),
           array_agg(l.held), array_agg(l.after)
      into v_instances, v_executions, v_attempts, v_uptos, v_helds, v_afters
      from leased l;
    continue when v_instances is null;
    v_left := v_left - cardinality(v_instances);
    if false = any (v_helds) then
      v_share := p_history_bytes / cardinality(array_positions(v_helds, false));
      return query
        select u.instance, u.execution, v_code.name, nullif(v_code.version, ''), u.attempt, u.upto,
               u.held, e.seq, e.kind, e.at, e.ref, e.body, null::timestamptz
          from unnest(v_instances, v_executions, v_attempts, v_uptos, v_helds, v_afters)
               u(instance, execution, attempt, upto, held, after)
          left join lateral (
            select w.seq, w.kind, w.at, w.ref, w.body
              from (
                select e.seq, e.kind, e.at, e.ref, e.body,
                       sum(coalesce(octet_length(e.body), 0)) over (order by e.seq) as bytes
                  from event e
                 where e.instance = u.instance and e.seq > u.after and e.seq <= u.upto
                   and (e.kind < 20 or not u.held)
              ) w
             where u.held or w.bytes <= v_share
             order by w.seq
          ) e on true;
      continue when v_left > 0;
      exit;
    end if;
    return query
      select u.instance, u.execution, v_code.name, nullif(v_code.version, ''), u.attempt, u.upto,
             u.held, e.seq, e.kind, e.at, e.ref, e.body, null::timestamptz
        from unnest(v_instances, v_executions, v_attempts, v_uptos, v_helds, v_afters)
             u(instance, execution, attempt, upto, held, after)
        left join lateral (
          select e.seq, e.kind, e.at, e.ref, e.body from event e
           where e.instance = u.instance and e.seq > u.after and e.seq <= u.upto
             and (e.kind < 20 or not u.held)
           order by e.seq
        ) e on true;
    exit when v_left <= 0;
  end loop;

  return query select null::text, null::int, null::text, null::text, null::int, v_fired,
                      null::boolean, null::int, null::smallint, v_now, null::text,
                      admitted_lines_v1(v_tags),
                      case when v_left <= 0 then v_now
                           else next_turn_due_v1(v_now, p_names, p_versions) end;
end
$$;
