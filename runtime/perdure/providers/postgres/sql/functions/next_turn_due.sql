-- When to ask for turns again, for a caller with this code; a part of fetch_turns. What should have
-- been done by now is held up by somebody's lock, and is tried again in a moment.
create or replace function next_turn_due_v1(p_now timestamptz, p_names text[], p_versions text[])
returns timestamptz
language plpgsql stable
set search_path from current
as $$
declare
  v_soon timestamptz := p_now + interval '20 milliseconds';
begin
  return (
    select least(
             (select min(t.due) from timer t),
             (select greatest(min(a.start_by), case when min(a.start_by) <= p_now then v_soon end)
                from activity a),
             (select greatest(n.due, v_soon) from gate_news n order by n.due limit 1),
             min(least(ahead.due, leased.due))
           )
      from unnest(p_names, p_versions) c(name, version)
      left join lateral (
        select l.due from live l
         where l.name = c.name and l.version = c.version and l.due > p_now and l.due < 'infinity'
         order by l.due limit 1
      ) ahead on true
      left join lateral (
        select min(l.lease_until) as due from live l
         where l.name = c.name and l.version = c.version and l.due <= p_now and l.due < 'infinity'
           and l.lease_until > p_now
      ) leased on true
  );
end
$$;
