-- The tables, version 1.
--
-- Their names have a prefix, and the version stands in a table of its own: so an application may
-- keep its tables in the same file, use `user_version` for itself, and write both in one
-- transaction.
--
-- One instance is: one cold row (`perdure_instance`), one hot row while it is unfinished
-- (`perdure_live`), and its history (`perdure_event`). Times are microseconds since 1970, spans
-- microseconds. A time that never comes is null: comparisons leave it out, and so do the indexes.

create table perdure_schema (
  version integer not null
) strict;

-- Cold: written at start and at the end. Status 0: unfinished; from 5 on: the outcome.
create table perdure_instance (
  id text primary key,
  tenant text not null default '',
  name text not null,
  version text,
  parent text,
  parent_close text not null default 'cancel',
  watched integer not null default 0,
  status integer not null default 0,
  created integer not null,
  finished integer,
  execution integer not null default 1,
  length integer not null default 0,
  cancelled integer not null default 0,
  custom_version integer not null default 0,
  token integer,
  limit_key text,
  attributes text,
  custom_status text,
  output text,
  failure text
) strict;

-- Lists go newest first.
create index perdure_instance_created on perdure_instance (created, id);
-- A tree is found from its root.
create index perdure_instance_parent on perdure_instance (parent, created, id)
  where parent is not null;
-- Retention walks what has ended, oldest end first.
create index perdure_instance_finished on perdure_instance (finished, id)
  where finished is not null;

-- Hot: what fetching and committing look at. `due` is when a turn may be taken, null when there is
-- nothing to do or the instance is parked; a lease does not move it. `position` is the last message
-- consumed, `upto` what the leased turn consumes. `version` is empty while any version of the name
-- will do. `awaits`: its limit has not admitted it; `not_before`: when it has
-- admitted it for.
create table perdure_live (
  instance text primary key,
  name text not null,
  version text not null,
  due integer,
  lease_until integer not null default 0,
  lease integer not null default 0,
  holder integer not null default 0,
  next_seq integer not null,
  execution integer not null default 1,
  first_seq integer not null default 1,
  position integer not null default 0,
  upto integer not null default 0,
  attempt integer not null default 0,
  held integer not null default 0,
  watched integer not null default 0,
  suspended integer not null default 0,
  cancelled integer not null default 0,
  awaits integer not null default 0,
  not_before integer not null default 0,
  arrived integer not null default 0,
  priority integer not null default 0,
  limit_key text,
  block_reason text,
  block_message text
) strict;

-- By code, so that what nobody here can run is never looked at.
create index perdure_live_due on perdure_live (name, version, due) where due is not null;
create index perdure_live_limit on perdure_live (limit_key, awaits, priority desc, arrived)
  where limit_key is not null;

-- Append only. `source` is the token that wrote the row: a retry of that write finds it.
create table perdure_event (
  instance text not null,
  seq integer not null,
  execution integer not null,
  kind integer not null,
  at integer not null,
  source integer,
  ref text,
  body text
) strict;

create unique index perdure_event_seq on perdure_event (instance, seq);
-- Sending again with the same token adds nothing: events, what is queued, cancels and updates, which
-- alone come from outside. Everything else is fenced by a lease.
create unique index perdure_event_source on perdure_event (instance, source)
  where kind in (5, 6, 9, 10) and source is not null;

-- Executions that continued as new, but for those that were pruned. The last one is found in the
-- rows above.
create table perdure_execution (
  instance text not null,
  execution integer not null,
  first_seq integer not null,
  last_seq integer not null,
  version text,
  started integer not null,
  finished integer not null,
  primary key (instance, execution)
) strict, without rowid;

-- One row for each sort of activity that was ever queued, a few in all: fetching asks each for its
-- first, so that its cost is the number of sorts and not of activities. `in_session`: those of
-- sessions that nobody owns.
create table perdure_kind (
  id integer primary key,
  tag text not null,
  name text not null,
  in_session integer not null,
  priority integer not null,
  unique (tag, name, in_session, priority)
) strict;

-- `due` is when it may be leased, or when its lease ends; null while its limit has not admitted it
-- (`awaits`). `kind` is null while somebody owns its session. `expires` is when it fails unless
-- somebody has started it.
create table perdure_activity (
  id integer primary key,
  instance text not null,
  execution integer not null,
  op text not null,
  tag text not null,
  name text not null,
  kind integer,
  due integer,
  queued integer not null,
  lease integer not null default 0,
  attempt integer not null default 0,
  failures integer not null default 0,
  retried integer,
  timeout integer,
  priority integer not null default 0,
  awaits integer not null default 0,
  expires integer,
  queue_timeout integer,
  heartbeat_timeout integer,
  started integer,
  session text,
  limit_key text,
  input text not null,
  retry text,
  cancel_reason text,
  last_failure text,
  details text
) strict;

create unique index perdure_activity_op on perdure_activity (instance, execution, op);
create index perdure_activity_due on perdure_activity (kind, due) where kind is not null;
create index perdure_activity_session on perdure_activity (session, due) where session is not null;
create index perdure_activity_expires on perdure_activity (expires) where expires is not null;
create index perdure_activity_limit
  on perdure_activity (limit_key, awaits, priority desc, queued) where limit_key is not null;

-- Sessions that somebody owns. `used` is when an activity of it was last leased or finished.
create table perdure_session (
  name text primary key,
  owner integer not null,
  until integer not null,
  used integer not null
) strict;

create index perdure_session_owner on perdure_session (owner);
create index perdure_session_until on perdure_session (until);

-- `next_at` is when the rate has room for the next one, `look_at` when what waits for it is to be
-- looked at again.
create table perdure_limit (
  key text primary key,
  concurrency integer,
  rate integer,
  period integer not null,
  next_at integer not null default 0,
  look_at integer
) strict;

create index perdure_limit_look on perdure_limit (look_at) where look_at is not null;

create table perdure_timer (
  instance text not null,
  execution integer not null,
  op text not null,
  due integer not null,
  primary key (instance, execution, op)
) strict, without rowid;

create index perdure_timer_due on perdure_timer (due, op);

-- Messages for instances that nobody started yet.
create table perdure_early (
  id integer primary key,
  instance text not null,
  expires integer not null,
  kind integer not null,
  token integer,
  ref text,
  body text
) strict;

create index perdure_early_instance on perdure_early (instance, id);
create index perdure_early_expires on perdure_early (expires);

-- What instances keep for others to read; what replay needs is in the history.
create table perdure_key (
  instance text not null,
  key text not null,
  updated integer not null,
  value text not null,
  primary key (instance, key)
) strict, without rowid;

-- One row for each update that was accepted, kept as long as the instance; neither `result` nor
-- `failure` while it waits for its answer. It also tells that an update is there already.
create table perdure_answer (
  instance text not null,
  id text not null,
  result text,
  failure text,
  primary key (instance, id)
) strict, without rowid;

-- Queries, until they expire. `due` is when it may be given out, null once it is answered. Name and
-- version are those of the code that can answer it, the version empty while any will do.
create table perdure_question (
  instance text not null,
  id text not null,
  code_name text not null,
  code_version text not null,
  due integer,
  expires integer not null,
  asked integer not null,
  attempt integer not null default 0,
  name text not null,
  input text not null,
  result text,
  failure text,
  primary key (instance, id)
) strict;

create index perdure_question_due on perdure_question (code_name, code_version, due)
  where due is not null;
create index perdure_question_id on perdure_question (id);
create index perdure_question_expires on perdure_question (expires);

-- What happened to how many, where a silent loss would be the alternative.
create table perdure_tally (
  name text primary key,
  count integer not null
) strict;

-- One row for each watched instance that changed, moved to the end with every change. `gone`: when
-- the instance was deleted; the row goes when everybody has had time to read it.
create table perdure_change (
  position integer primary key autoincrement,
  instance text not null unique,
  gone integer
) strict;

create index perdure_change_gone on perdure_change (gone) where gone is not null;

create table perdure_executor (
  id integer primary key,
  seen integer not null,
  info text not null
) strict;

-- The latest news for other processes, which look when the file changed. `writer` is who wrote.
create table perdure_news (
  id integer primary key autoincrement,
  writer integer not null,
  lines text not null
) strict;
