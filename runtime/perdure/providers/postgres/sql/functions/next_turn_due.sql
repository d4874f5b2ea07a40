-- When to ask for turns again, for a caller with this code; a part of fetch_turns.
create or replace function next_turn_due_v1(p_now timestamptz, p_names text[], p_versions text[])
returns timestamptz
language plpgsql stable
set search_path from current
as $$
begin
  return (
    select least(
             (select min(t.due) from timer t), (select min(a.start_by) from activity a),
             (select greatest(n.due, p_now) from gate_news n order by n.due limit 1),
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
