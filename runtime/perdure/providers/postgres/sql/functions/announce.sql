-- Tells of an executor, and sweeps a little.
create or replace function announce_v1(
  p_id bigint, p_role text, p_name text, p_build text, p_tags text[], p_code_names text[],
  p_code_versions text[], p_activities text[], p_slots int, p_busy int, p_draining boolean,
  p_now timestamptz default null
) returns void
language plpgsql security definer
set search_path from current
set jit = off
as $$
declare
  v_now timestamptz := coalesce(p_now, clock_timestamp());
begin
  perform set_config('synchronous_commit', 'off', true);
  insert into executor (
    id, seen, role, name, build, tags, code_names, code_versions, activities, slots, busy, draining
  )
  values (
    p_id, v_now, p_role, p_name, p_build, p_tags, p_code_names, p_code_versions, p_activities,
    p_slots, p_busy, p_draining
  )
  on conflict (id) do update
    set seen = excluded.seen, role = excluded.role, name = excluded.name, build = excluded.build,
        tags = excluded.tags, code_names = excluded.code_names,
        code_versions = excluded.code_versions, activities = excluded.activities,
        slots = excluded.slots, busy = excluded.busy, draining = excluded.draining;
  perform sweep_v1(100, v_now);
end
$$;
