-- Adds messages to histories; the part that enqueue and commit share, not to be called by others.
--
-- The caller holds the locks of the `live` rows of all targets that exist. Returns one outcome for
-- each message: 1 accepted, 2 kept for an instance that is not there yet, 3 the id is taken,
-- 4 the instance has ended (or, for the answer of a child, that execution), 5 the inbox is full.
-- A cancel that names a parent is for an instance of that parent alone; for another it is 4, too.
-- An update whose id was seen is accepted and adds nothing, like whatever comes with a token again.
-- What a turn starts belongs to the tenant of the instance that sent it, unless it names one.
-- Instances are made in the order of the messages, which come sorted by instance.
-- (`offset 0` in this and other functions keeps the planner from turning a look-up for each item into
-- a join: a join that was planned while a table was small reads all of it when it is large.)
-- Raises serialization_failure when an instance was made by somebody else in this very moment: the
-- whole call is then to be repeated.
create or replace function send_v1(
  p_now timestamptz, p_messages message_v1[], p_keep interval, p_inbox int
) returns smallint[]
language plpgsql
set search_path from current
as $$
declare
  v_outcomes smallint[] := array_fill(1::smallint, array[cardinality(p_messages)]);
  v_new text[];
  v_starts int;
  v_others int;
  v_updates int;
  v_watched boolean;
  v_fate smallint[];
  v_one message_v1;
begin
  -- One start alone, of an id that is free: what a quiet system sends, and done with single rows. To
  -- set up a query over arrays takes longer than to run it.
  if cardinality(p_messages) = 1 and p_messages[1].kind = 1 and not p_messages[1].watched
     and p_messages[1].sender is null then
    v_one := p_messages[1];
    insert into instance (
      id, tenant, name, version, parent, status, created, token, parent_close, limit_key, attributes
    )
    values (
      v_one.instance, v_one.tenant, v_one.name, v_one.version, v_one.parent, 0, p_now, v_one.token,
      v_one.parent_close, v_one.limit_key, v_one.attributes::jsonb
    )
    on conflict (id) do nothing;
    if found then
      insert into live (instance, name, version, next_seq, due, limit_key)
      values (
        v_one.instance, v_one.name, coalesce(v_one.version, ''), 2, p_now, v_one.limit_key
      );
      insert into event (instance, seq, execution, kind, ref, body, at, source)
      values (v_one.instance, 1, 1, 1, v_one.ref, v_one.body, p_now, v_one.token);
      return v_outcomes;
    end if;
  end if;

  select count(*) filter (where m.kind = 1), count(*) filter (where m.kind <> 1),
         count(*) filter (where m.kind = 10), coalesce(bool_or(m.watched), false)
    into v_starts, v_others, v_updates, v_watched
    from unnest(p_messages) m;

  if v_starts > 0 then
    with fresh as (
      insert into instance (
        id, tenant, name, version, parent, watched, status, created, token, parent_close, limit_key,
        attributes
      )
      select m.instance, case when m.tenant = '' and m.sender is not null then coalesce(
               (select s.tenant from instance s where s.id = m.sender), ''
             ) else m.tenant end, m.name, m.version, m.parent, m.watched, 0, p_now, m.token,
             m.parent_close, m.limit_key, m.attributes::jsonb
        from unnest(p_messages) m
       where m.kind = 1
      on conflict (id) do nothing
      returning id
    )
    select array_agg(id) into v_new from fresh;

    if cardinality(v_new) = v_starts then
      insert into live (instance, name, version, next_seq, due, watched, limit_key)
      select m.instance, m.name, coalesce(m.version, ''), 2, p_now, m.watched, m.limit_key
        from unnest(p_messages) m
       where m.kind = 1;
      insert into event (instance, seq, execution, kind, ref, body, at, source)
      select m.instance, 1, 1, 1, m.ref, m.body, p_now, m.token
        from unnest(p_messages) m
       where m.kind = 1;
    else
      v_outcomes := start_some_v1(p_now, p_messages, coalesce(v_new, '{}'), v_outcomes);
    end if;
    if v_watched then
      perform mark_changed_v1(array(
        select m.instance from unnest(p_messages) m where m.kind = 1 and m.watched
         order by m.instance collate "C"
      ));
    end if;
  end if;

  if v_others = 0 then
    return v_outcomes;
  end if;

  -- Where each of the others goes: 1 to its history, 0 it is there already, else its outcome; 9 are
  -- the starts. The inbox counts what is unread; only what comes from outside can be refused, and
  -- never the first cancel.
  select array_agg(
           case
             when f.fate = 1 and f.unread + f.n > p_inbox
                  and (f.kind in (5, 6, 10) or f.kind = 9 and f.cancelled) then 5
             else f.fate
           end order by f.ord
         )
    into v_fate
    from (
      select p.*, row_number() over (partition by p.instance, p.fate order by p.ord) as n
        from (
          select m.ordinality as ord, m.instance, m.kind, l.cancelled,
                 -- All but the TURN record, once this execution has one.
                 l.next_seq - 1 - l.position - (l.position >= l.first_seq)::int as unread,
                 case
                   when m.kind = 1 then 9
                   -- A parent cancels its own child, and nobody else's instance of that id.
                   when m.parent is not null and (
                     select true from instance i where i.id = m.instance and i.parent = m.parent limit 1
                   ) is null then 4
                   when l.next_seq is null then 2
                   when m.execution <> l.execution then 4
                   when m.token is null then 1
                   when (
                     select true from event e
                      where e.instance = m.instance and e.source = m.token
                        and e.kind in (5, 6, 9, 10) and e.source is not null
                      limit 1
                   ) then 0
                   when m.kind = 10 and (
                     select true from answer a where a.instance = m.instance and a.id = m.ref limit 1
                   ) then 0
                   when m.ordinality > min(m.ordinality) over (partition by m.instance, m.token) then 0
                   else 1
                 end as fate
            from unnest(p_messages) with ordinality m
            left join lateral (
              select l.next_seq, l.position, l.first_seq, l.execution, l.cancelled
                from live l where l.instance = m.instance and m.kind <> 1
              offset 0
            ) l on true
        ) p
    ) f;

  insert into event (instance, seq, execution, kind, ref, body, at, source)
  select m.instance, l.next_seq + m.n - 1, l.execution, m.kind, m.ref, m.body, p_now, m.token
    from (
      select m.*, (row_number() over (partition by m.instance order by m.ordinality))::int as n
        from unnest(p_messages) with ordinality m
       where v_fate[m.ordinality] = 1
    ) m
   cross join lateral (
     select l.next_seq, l.execution from live l where l.instance = m.instance offset 0
   ) l;

  if v_updates > 0 then
    insert into answer (instance, id)
    select m.instance, m.ref
      from unnest(p_messages) with ordinality m
     where m.kind = 10 and v_fate[m.ordinality] = 1
     order by 1, 2
    on conflict do nothing;
  end if;

  update live l
     set next_seq = l.next_seq + g.n,
         cancelled = l.cancelled or g.cancels,
         -- Who is cancelled while it waits for its limit goes through to its end, uncounted.
         passage = case when l.passage = 1 and g.cancels then 0 else l.passage end,
         due = case
           when l.suspended or l.block_reason is not null or l.passage = 1 and not g.cancels
             then 'infinity'
           else least(l.due, p_now)
         end
    from (
      select m.instance, count(*)::int as n, bool_or(m.kind = 9) as cancels
        from unnest(p_messages) with ordinality m
       where v_fate[m.ordinality] = 1
       group by 1
    ) g
   cross join lateral (
     select l.ctid as tid from live l where l.instance = g.instance offset 0
   ) k
   where l.ctid = k.tid;

  for i in 1 .. cardinality(v_fate) loop
    if v_fate[i] = 2 then
      v_outcomes[i] := keep_early_v1(p_now, p_messages[i], p_keep, p_inbox);
    elsif v_fate[i] in (4, 5) then
      v_outcomes[i] := v_fate[i];
    end if;
  end loop;
  return v_outcomes;
end
$$;
