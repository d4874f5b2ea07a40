-- Fails activities that nobody started in time; returns how many. A part of fetch_turns.
--
-- Instances that somebody holds are passed by, and found again: whoever commits a turn of theirs may
-- be about to cancel them.
create or replace function expire_waiting_v1(p_now timestamptz, p_limit int) returns int
language plpgsql
set search_path from current
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
as $$
declare
  v_instances text[];
  v_count int;
begin
  v_instances := array(
    select l.instance
      from (
        select distinct a.instance
          from (
            select a.instance from activity a where a.start_by <= p_now
             order by a.start_by limit p_limit
          ) a
         order by 1
      ) u
     cross join lateral (
       select l.instance from live l where l.instance = u.instance
          for no key update skip locked
     ) l
  );
  with late as (
    delete from activity
     where ctid = any (array(
             select a.tid
               from unnest(v_instances) u(id)
              cross join lateral (
                select a.ctid as tid from activity a
                 where a.instance = u.id and a.start_by <= p_now
                   for update skip locked
              ) a
           ))
    returning instance, execution, op, name, tag, queue_timeout, passage, limit_key, queued
  ), numbered as (
    select e.*, (row_number() over (partition by e.instance order by e.queued, e.op))::int as n
      from late e
  ), recorded as (
    insert into event (instance, seq, execution, kind, ref, body, at)
    select e.instance, l.next_seq + e.n - 1, e.execution, 3, e.op,
           json_build_object(
             'category', 'timeout', 'type', 'QueueTimeout', 'message', format(
               case
                 when e.passage = 1
                   then '%s was not started within %s: its limit %3$s did not admit it'
                 when e.tag = '' then '%s was not started within %s: no executor took it'
                 else '%s was not started within %s: no executor of the tag %4$s took it'
               end, e.name, e.queue_timeout, e.limit_key, e.tag
             ), 'retryable', false
           )::text, p_now
      from numbered e
     cross join lateral (
       select l.next_seq from live l where l.instance = e.instance offset 0
     ) l
    returning instance
  )
  select count(*) into v_count from recorded;

  update live l
     set next_seq = g.seq + 1,
         due = case
           when l.suspended or l.block_reason is not null then 'infinity'
           else least(l.due, p_now)
         end
    from (
      select u.id, (select max(e.seq) from event e where e.instance = u.id) as seq
        from unnest(v_instances) u(id)
    ) g
   cross join lateral (
     select l.ctid as tid from live l where l.instance = g.id offset 0
   ) k
   where l.ctid = k.tid and l.next_seq <= g.seq;
  return v_count;
end
$$;
