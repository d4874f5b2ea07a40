-- Puts instances at the end of the change feed; the caller holds their locks. Ids come sorted.
create or replace function mark_changed_v1(p_instances text[]) returns void
language plpgsql
set search_path from current
as $$
begin
  insert into change (instance, xid)
  select distinct u.id, pg_current_xact_id()
    from unnest(p_instances) u(id)
   order by 1
  on conflict (instance) do update set xid = excluded.xid;
end
$$;
