-- Deletes one tree. `outcome`: 1 deleted, 0 there is none of that id, 2 something in it has not ended
-- (`running`: at most ten of them), 3 it is beneath another.
--
-- With `p_force` what has not ended is terminated first, in the same transaction: whoever holds a lease
-- finds it lost. All of the tree is locked before it is looked at again; when it grew meanwhile,
-- serialization_failure is raised and the call is to be repeated. `cancelled`, `finished`: whom to tell.
create or replace function delete_instances_v1(
  p_instance text, p_force boolean, p_failure text, p_now timestamptz default null,
  out outcome smallint, out instances int, out executions bigint, out records bigint,
  out messages bigint, out running text[], out finished text[], out cancelled text[],
  out is_changed boolean
)
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
  v_parent text;
  v_tree text[];
  v_again text[];
  v_open bigint;
begin
  instances := 0;
  executions := 0;
  records := 0;
  messages := 0;
  running := '{}';
  finished := '{}';
  cancelled := '{}';
  is_changed := false;
  select i.parent into v_parent from instance i where i.id = p_instance and i.status >= 0;
  if not found then
    outcome := 0;
    return;
  end if;
  if exists (select from instance i where i.id = v_parent and i.status >= 0) then
    outcome := 3;
    return;
  end if;
  v_tree := whole_tree_v1(p_instance);
  perform l.one
     from unnest(v_tree) u(id)
    cross join lateral (select 1 as one from live l where l.instance = u.id for no key update) l;
  perform from instance i where i.id = p_instance for update;
  if not found then
    outcome := 0;  -- somebody else was first
    return;
  end if;
  v_again := whole_tree_v1(p_instance);
  if not v_again <@ v_tree then
    raise exception 'a tree grew while it was deleted' using errcode = 'serialization_failure';
  end if;

  select array_agg(u.id) filter (where u.place <= 10), count(*) into running, v_open
    from (
      select l.instance as id, row_number() over () as place
        from unnest(v_again) t(id)
       cross join lateral (select l.instance from live l where l.instance = t.id offset 0) l
    ) u;
  running := coalesce(running, '{}');
  if v_open > 0 and not p_force then
    outcome := 2;
    return;
  end if;
  if v_open > 0 then
    select coalesce(sum(
             l.next_seq - 1 - l.position - (l.position >= l.first_seq)::int
           ), 0)
      into messages
      from unnest(v_again) u(id)
     cross join lateral (select l.* from live l where l.instance = u.id offset 0) l;
    messages := messages + (
      select count(*) from unnest(v_again) u(id)
       cross join lateral (
         select from activity a where a.instance = u.id and a.cancel_reason is null offset 0
       ) a
    ) + (
      select count(*) from unnest(v_again) u(id)
       cross join lateral (select from timer t where t.instance = u.id offset 0) t
    );
    select e.finished, e.cancelled into finished, cancelled
      from end_tree_v1(v_now, v_again, 'deleted', p_failure) e;
  end if;
  outcome := 1;
  instances := cardinality(v_again);
  running := '{}';
  is_changed := exists (
    select from unnest(v_again) u(id)
     cross join lateral (select from change c where c.instance = u.id offset 0) c
  );
  -- Without the records that say that they were terminated.
  select r.executions, r.records - cardinality(finished) into executions, records
    from remove_tree_v1(v_now, v_again) r;
end
$$;
