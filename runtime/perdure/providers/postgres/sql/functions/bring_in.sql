-- Adds an instance that has ended elsewhere, with its history: 1 added, 3 the id is taken.
--
-- Messages that waited for this id have nobody to go to any more: they are counted in `tally`.
create or replace function bring_in_v1(
  p_archive archive_v1, p_records archived_v1[], p_keys archived_key_v1[]
) returns smallint
language plpgsql security definer
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  a archive_v1 := p_archive;
begin
  insert into instance (
    id, tenant, name, version, parent, status, created, finished, execution, length, cancelled,
    custom_version, attributes, custom_status, output, failure
  )
  values (
    a.instance, a.tenant, a.name, a.version, a.parent, a.status, a.created, a.finished,
    a.execution, a.length, a.cancelled, a.custom_version, a.attributes::jsonb, a.custom_status,
    a.output, a.failure
  )
  on conflict (id) do update
    set tenant = excluded.tenant, name = excluded.name, version = excluded.version,
        parent = excluded.parent, status = excluded.status, created = excluded.created,
        finished = excluded.finished, execution = excluded.execution, length = excluded.length,
        cancelled = excluded.cancelled, custom_version = excluded.custom_version,
        attributes = excluded.attributes, custom_status = excluded.custom_status,
        output = excluded.output, failure = excluded.failure
    where instance.status = -1;
  if not found then
    return 3;
  end if;
  with early as (
    delete from early_message e where e.instance = a.instance returning 1
  )
  insert into tally (name, count)
  select 'dropped_messages', count(*) from early having count(*) > 0
  on conflict (name) do update set count = tally.count + excluded.count;
  insert into ended (at, status, instance) values (a.finished, a.status, a.instance);
  insert into event (instance, seq, execution, kind, ref, body, at)
  select a.instance, r.seq, r.execution, r.kind, r.ref, r.body, r.at
    from unnest(p_records) r;
  insert into execution (instance, execution, first_seq, last_seq, version, started, finished)
  select a.instance, r.execution, min(r.seq), max(r.seq), null, min(r.at), max(r.at)
    from unnest(p_records) r
   where r.execution < a.execution
   group by r.execution;
  insert into key_value (instance, key, value, updated)
  select a.instance, k.key, k.value, k.updated from unnest(p_keys) k;
  return 1;
end
$$;
