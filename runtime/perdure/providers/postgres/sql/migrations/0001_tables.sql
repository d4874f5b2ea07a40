-- The tables of release 0.1.
--
-- One instance is: one cold row (`instance`), one hot row while it is unfinished (`live`), and its
-- history (`event`). Every primary key starts with the instance. Whoever changes an instance holds
-- the lock of its row in `live`; locks are taken in the order of the ids, all of them first.

-- Cold: written at start and at the end. Status -1: nobody started it yet, messages wait for it;
-- 0: unfinished; from 5 on: the outcome. `parent_close` 0: cancel, 1: terminate, 2: abandon.
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
  parent_close smallint not null default 0,
  token bigint,
  limit_key text collate "C",
  attributes jsonb,
  custom_status text,
  output text,
  failure text
) with (fillfactor = 80);

-- Lists go newest first.
create index instance_created on instance (created, id);
-- A tree is found from its root.
create index instance_parent on instance (parent, created, id) where parent is not null;
-- Those without a tenant, and those without attributes, pay nothing for it.
create index instance_tenant on instance (tenant, created, id) where tenant <> '';
create index instance_attributes on instance using gin (attributes jsonb_path_ops)
  where attributes is not null;

-- One row for each instance that has ended, in the order of the ends: what retention walks and what
-- counting reads. (An index on `instance.finished` would do too, if it did not make the update at
-- the end write to every index of that table.)
create table ended (
  at timestamptz not null,
  status smallint not null,
  instance text collate "C" not null
) with (fillfactor = 100);

create index ended_at on ended (at, instance);

-- Executions that continued as new, but for those that were pruned. What is known of the last one
-- stands in `instance` and `live`.
create table execution (
  started timestamptz not null,
  finished timestamptz not null,
  execution int not null,
  first_seq int not null,
  last_seq int not null,
  instance text collate "C" not null,
  version text collate "C",
  primary key (instance, execution)
);

-- The key-value maps, for readers: what replay needs stands in the history.
create table key_value (
  updated timestamptz not null,
  instance text collate "C" not null,
  key text collate "C" not null,
  value text not null,
  primary key (instance, key)
);

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
  block_message text,
  limit_key text collate "C",
  passage smallint not null default 0,
  arrival bigint
) with (
  fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  vacuum_truncate = off
);

-- By code, so that what nobody here can run is never looked at.
create index live_due on live (name, version, due) where due < 'infinity';
create index live_limit on live (limit_key, passage, arrival) where limit_key is not null;

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

-- Sending again with the same token adds nothing. Kinds 5, 6, 9, 10: events, what is queued, cancels
-- and updates, which alone come from outside; everything else is fenced by a lease.
create unique index event_source on event (instance, source)
  where kind in (5, 6, 9, 10) and source is not null;

-- One row for each update that was accepted, kept as long as the instance; neither `result` nor
-- `failure` while it waits for its answer. It also tells that an update is there already.
create table answer (
  instance text collate "C" not null,
  id text collate "C" not null,
  result text,
  failure text,
  primary key (instance, id)
);

-- Queries, until they expire; nothing of them must outlive a crash. `due` is when it may be given
-- out, `infinity` once it is answered. Name and version are those of the code that can answer it,
-- the version empty while any will do.
create unlogged table question (
  due timestamptz not null,
  expires timestamptz not null,
  asked timestamptz not null,
  attempt int not null default 0,
  instance text collate "C" not null,
  id text collate "C" not null,
  code_name text collate "C" not null,
  code_version text collate "C" not null,
  name text not null,
  input text not null,
  result text,
  failure text,
  primary key (instance, id)
);

create index question_due on question (code_name, code_version, due) where due < 'infinity';
create index question_id on question (id);
create index question_expires on question (expires);

-- `due` is when it may be leased, or when its lease ends; `infinity` while it waits for its limit.
-- `start_by`, until it is first leased: when it fails if nobody has.
create table activity (
  due timestamptz not null,
  queued timestamptz not null,
  start_by timestamptz,
  started timestamptz,
  lease bigint not null default 0,
  retried bigint,
  arrival bigint,
  timeout interval,
  heartbeat interval,
  queue_timeout interval,
  execution int not null,
  attempt int not null default 0,
  failures int not null default 0,
  priority smallint not null default 0,
  passage smallint not null default 0,
  is_offered boolean not null default true,
  instance text collate "C" not null,
  op text collate "C" not null,
  tag text collate "C" not null,
  name text collate "C" not null,
  session text collate "C",
  limit_key text collate "C",
  input text not null,
  retry text,
  cancel_reason text,
  last_failure text,
  details text,
  primary key (instance, execution, op)
) with (
  fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  vacuum_truncate = off
);

-- By name too: what nobody here has code for must cost nothing to those who serve the same tag.
create index activity_due on activity (tag, name, priority, due) where session is null;

-- Those of sessions: what the owner of a session looks at, and what is offered to whoever can own
-- one more. An activity is offered until somebody finds that its session is another's, and again
-- when the owner lets go.
create index activity_session on activity (session, tag, name, priority, due)
  where session is not null;
create index activity_offered on activity (tag, name, priority, due)
  where session is not null and is_offered;

create index activity_limit on activity (limit_key, passage, priority desc, arrival)
  where limit_key is not null;
create index activity_start_by on activity (start_by) where start_by is not null;

-- Who owns a session, until when, and when an activity of it was last leased, renewed or finished.
-- There is a row only while somebody owns it, or has until a moment ago.
create table session (
  lease_until timestamptz not null,
  active timestamptz not null,
  owner bigint not null,
  id text collate "C" primary key
) with (fillfactor = 70);

create index session_owner on session (owner);
create index session_lease on session (lease_until);

-- One row for each key that is limited. `running`: how many were admitted and have not gone, but for
-- what `gate_news` tells. `opens`: from when on the next one may be due, by the rate.
--
-- `passage` in `activity` and `live`: 0 not limited, 1 waits to be admitted, 2 admitted and counted.
-- Those who come and go do not lock the gate: they leave a row of news, and whoever fetches next
-- admits. `arrival` numbers those who wait.
create table gate (
  opens timestamptz not null default '-infinity',
  period interval not null,
  concurrency int,
  rate int,
  running int not null,
  limit_key text collate "C" primary key
) with (fillfactor = 50);

-- `due`: from when on the gate is to be looked at. `gone`: how many that were counted have gone.
create table gate_news (
  due timestamptz not null,
  gone int not null,
  limit_key text collate "C" not null
);

create index gate_news_due on gate_news (due);
create index gate_news_key on gate_news (limit_key);
create sequence gate_arrival;

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
-- whoever reads only what is older than every running transaction misses nothing. `gone`: the
-- instance was deleted then; the row goes when everybody has had time to read it.
create table change (
  instance text collate "C" primary key,
  xid xid8 not null,
  gone timestamptz
) with (fillfactor = 70);

create index change_xid on change (xid);
create index change_gone on change (gone) where gone is not null;

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
-- `session`: null for activities without one, empty for those that are offered.
-- `due` is that of its first.
create type kind_v1 as (
  session text, tag text, name text, priority smallint, due timestamptz
);


-- What few activities have; null where all is as usual.
create type options_v1 as (
  session text, priority smallint, limit_key text, queue_timeout interval, heartbeat interval
);
create type activity_v1 as (
  turn int, instance text, execution int, op text, name text, tag text, input text, retry text,
  timeout interval, options options_v1
);
create type cancel_v1 as (turn int, instance text, execution int, op text, reason text);
create type timer_v1 as (turn int, instance text, execution int, op text, due timestamptz);
-- `sender`: the instance whose turn sent it, null when it comes from outside.
create type message_v1 as (
  turn int, instance text, kind smallint, ref text, body text, execution int, token bigint,
  name text, version text, tenant text, parent text, watched boolean, parent_close smallint,
  attributes text, limit_key text, sender text
);
-- A null `key` empties the map, a null `value` takes the key away.
create type key_v1 as (turn int, instance text, key text, value text);
-- Laid over the attributes that there are.
create type attributes_v1 as (turn int, instance text, attributes text);
create type answer_v1 as (turn int, instance text, id text, result text, failure text);
-- What few turns have; what there is none of is null. In `terminates`, `op` is the child and `reason`
-- its failure.
create type extras_v1 as (
  keys key_v1[], attributes attributes_v1[], answers answer_v1[], terminates cancel_v1[]
);
create type result_v1 as (
  instance text, execution int, op text, token bigint,
  -- 2: completed; 3: failed for good; 0: to be tried again; 1: goes on under its lease for `delay`;
  -- -1: discarded.
  kind smallint, body text, delay interval
);
create type limit_v1 as (limit_key text, concurrency int, rate int, period interval);
create type lease_v1 as (instance text, execution int, op text, token bigint);
-- What a list is narrowed by; null: by nothing.
create type filter_v1 as (
  tenant text, name text, phases smallint[], prefix text, parent text, roots boolean, version text,
  created_after timestamptz, created_before timestamptz, finished_after timestamptz,
  finished_before timestamptz, attributes text
);
-- An instance that has ended elsewhere, its records and its keys.
create type archive_v1 as (
  instance text, tenant text, name text, version text, parent text, status smallint,
  created timestamptz, finished timestamptz, execution int, length int, cancelled boolean,
  custom_version int, attributes text, custom_status text, output text, failure text
);
create type archived_v1 as (
  seq int, execution int, kind smallint, ref text, body text, at timestamptz
);
create type archived_key_v1 as (key text, value text, updated timestamptz);
create type command_v1 as (instance text, verb text, reason text, failure text);
