-- Suspends, resumes or terminates; no code of the instance is needed. One outcome for each command:
-- 1 done, 2 it was so already, 3 the instance has ended, 0 there is no such instance.
--
-- Terminating takes the unfinished children along, the whole tree in this one transaction, and the
-- parent of the one that was named is told with `failure`. The ids that a command touches are
-- found first, then locked in order; when the tree has grown meanwhile, serialization_failure is
-- raised and the call is to be repeated. `finished`: what ended; `cancelled`: instances with a
-- leased activity that is no longer wanted; `is_changed`: the change feed grew.
create or replace function control_v1(
  p_commands command_v1[], p_now timestamptz default null,
  out outcomes smallint[], out finished text[], out cancelled text[], out is_changed boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_ids text[] := array(select c.instance from unnest(p_commands) c);
  v_roots text[] := array(select c.instance from unnest(p_commands) c where c.verb = 'terminate');
  v_tree text[] := unfinished_tree_v1(v_roots);
  v_parents text[];
  v_watched text[];
  v_outcome smallint;
  v_ended text[];
  v_busy text[];
  c command_v1;
begin
  outcomes := '{}';
  finished := '{}';
  cancelled := '{}';
  v_parents := array(
    select i.parent
      from unnest(v_roots) u(id)
     cross join lateral (select i.parent from instance i where i.id = u.id offset 0) i
     where i.parent is not null
  );
  perform l.one
     from (
       select distinct a.id collate "C" as id from unnest(v_ids || v_tree || v_parents) a(id) order by 1
     ) u
    cross join lateral (
      select 1 as one from live l where l.instance = u.id for no key update
    ) l;
  if cardinality(v_roots) > 0 and not unfinished_tree_v1(v_roots) <@ v_tree then
    raise exception 'a tree grew while it was terminated' using errcode = 'serialization_failure';
  end if;

  foreach c in array p_commands loop
    if c.verb = 'terminate' then
      select t.outcome, t.finished, t.cancelled into v_outcome, v_ended, v_busy
        from terminate_v1(v_now, c) t;
      finished := finished || v_ended;
      cancelled := cancelled || v_busy;
    else
      v_outcome := park_v1(v_now, c.instance, c.verb = 'suspend');
      if v_outcome = 1 then
        v_watched := v_watched || c.instance;
      end if;
    end if;
    outcomes := outcomes || v_outcome;
  end loop;

  v_watched := array(
    select distinct i.id
      from unnest(v_watched || finished) u(id)
     cross join lateral (select i.id from instance i where i.id = u.id and i.watched offset 0) i
     order by 1
  );
  is_changed := cardinality(v_watched) > 0;
  if is_changed then
    perform mark_changed_v1(v_watched);
  end if;
end
$$;
