-- Sends hints to every process that listens; a payload has fewer than 8,000 bytes.
--
-- The channel is named after the schema, so that two installations in one database keep apart. To
-- be called on a connection of its own, after the commit: the lock that a notification takes while
-- it commits would let no two commits go to disk together.
create or replace function send_hints_v1(p_payloads text[]) returns void
language sql security definer
set search_path from current
as $$
  select pg_notify('perdure_' || md5(current_schema()), p)
    from unnest(p_payloads) p
$$;
