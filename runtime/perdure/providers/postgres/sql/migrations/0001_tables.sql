-- The tables of release 0.1.
--
-- One instance is: one cold row (`instance`), one hot row while it is unfinished (`live`), and its
-- history (`event`). Every primary key starts with the instance. Whoever changes an instance holds
-- the lock of its row in `live`; locks are taken in the order of the ids, all of them first.

-- Cold: written at start and at the end. Status -1: nobody started it yet, messages wait for it;
-- 0: unfinished; from 5 on: the outcome.
create table instance (
  id text collate "C" primary key,
  tenant text collate "C" not null default '',
  name text collate "C" not null default '',
  version text collate "C",
  parent text collate "C",
  watched boolean not null default false,
  status smallint not null,
  created timestamptz not null,
  finished timestamptz,
  execution int not null default 1,
  length int not null default 0,
  cancelled boolean not null default false,
  custom_version int not null default 0,
  token bigint,
  custom_status text,
  output text,
  failure text
) with (fillfactor = 80);

-- Lists go newest first.
create index instance_created on instance (created, id);
-- A tree is found from its root.
create index instance_parent on instance (parent, created, id) where parent is not null;

-- Hot: what fetching and committing look at. `due` is when a turn may be taken, `infinity` when
-- there is nothing to do or the instance is parked; a lease does not move it (most updates then
-- touch no index). `position` is the last message consumed, `upto` what the leased turn consumes.
-- `version` is empty while any version of the name will do.
create table live (
  due timestamptz not null,
  lease_until timestamptz not null default '-infinity',
  lease bigint not null default 0,
  holder bigint not null default 0,
  next_seq int not null,
  execution int not null default 1,
  first_seq int not null default 1,
  position int not null default 0,
  upto int not null default 0,
  attempt int not null default 0,
  held boolean not null default false,
  watched boolean not null default false,
  suspended boolean not null default false,
  cancelled boolean not null default false,
  instance text collate "C" primary key,
  name text collate "C" not null,
  version text collate "C" not null,
  block_reason text,
  block_message text
) with (
  fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  vacuum_truncate = off
);

-- By code, so that what nobody here can run is never looked at.
create index live_due on live (name, version, due) where due < 'infinity';

-- Append only. `source` is the token that wrote the row: a retry of that write finds it.
create table event (
  at timestamptz not null,
  source bigint,
  seq int not null,
  execution int not null,
  kind smallint not null,
  instance text collate "C" not null,
  ref text collate "C",
  body text,
  primary key (instance, seq)
);

-- Sending again with the same token adds nothing. Kinds 5 and 9: events and cancels, which alone
-- come from outside; everything else is fenced by a lease.
create unique index event_source on event (instance, source)
  where kind in (5, 9) and source is not null;

-- `due` is when it may be leased, or when its lease ends.
create table activity (
  due timestamptz not null,
  queued timestamptz not null,
  lease bigint not null default 0,
  retried bigint,
  timeout interval,
  execution int not null,
  attempt int not null default 0,
  failures int not null default 0,
  instance text collate "C" not null,
  op text collate "C" not null,
  tag text collate "C" not null,
  name text collate "C" not null,
  input text not null,
  retry text,
  cancel_reason text,
  last_failure text,
  primary key (instance, execution, op)
) with (
  fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  vacuum_truncate = off
);

-- By name too: what nobody here has code for must cost nothing to those who serve the same tag.
create index activity_due on activity (tag, name, due);

create table timer (
  due timestamptz not null,
  execution int not null,
  instance text collate "C" not null,
  op text collate "C" not null,
  primary key (instance, execution, op)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = off
);

create index timer_due on timer (due);

-- Messages for instances that nobody started yet.
create table early_message (
  instance text collate "C" not null,
  id bigint generated always as identity,
  expires timestamptz not null,
  token bigint,
  kind smallint not null,
  ref text collate "C",
  body text,
  primary key (instance, id)
);

create unique index early_message_token on early_message (instance, token)
  where token is not null;
create index early_message_expires on early_message (expires);

-- What happened to how many, where a silent loss would be the alternative.
create table tally (
  name text primary key,
  count bigint not null
);

-- One row for each watched instance that changed, moved on with every change. `xid` orders them:
-- whoever reads only what is older than every running transaction misses nothing.
create table change (
  instance text collate "C" primary key,
  xid xid8 not null
) with (fillfactor = 70);

create index change_xid on change (xid);

create table executor (
  id bigint primary key,
  seen timestamptz not null,
  role text not null,
  name text not null,
  build text not null,
  tags text[] not null,
  code_names text[] not null,
  code_versions text[] not null,
  activities text[] not null,
  slots int not null,
  busy int not null,
  draining boolean not null
);

-- Which login may take activities of which tag; asked only of those who are not owners.
create table tag_grant (
  role name not null,
  tag text not null,
  primary key (role, tag)
);

-- Arguments of the functions. A shape never changes: a new one gets a new name. `turn` is the
-- place of its turn in the batch, from 1.
create type turn_v1 as (
  instance text, execution int, token bigint, upto int, version text, body text,
  ending smallint,         -- 0: goes on; 1: continues as new; from 5 on: the outcome
  output text, failure text,
  sets_status boolean, custom_status text,
  next_name text, next_version text, next_body text
);
create type kind_v1 as (tag text, name text);

create type activity_v1 as (
  turn int, instance text, execution int, op text, name text, tag text, input text, retry text,
  timeout interval
);
create type cancel_v1 as (turn int, instance text, execution int, op text, reason text);
create type timer_v1 as (turn int, instance text, execution int, op text, due timestamptz);
create type message_v1 as (
  turn int, instance text, kind smallint, ref text, body text, execution int, token bigint,
  name text, version text, tenant text, parent text, watched boolean
);
create type result_v1 as (
  instance text, execution int, op text, token bigint,
  kind smallint,           -- 2: completed; 3: failed for good; 0: to be tried again; -1: discarded
  body text, delay interval
);
create type lease_v1 as (instance text, execution int, op text, token bigint);
create type command_v1 as (instance text, verb text, reason text, failure text);
