-- What the migrator remembers.
create table migration (
  number int primary key,
  name text not null,
  applied timestamptz not null default now()
);

create table function_text (
  name text primary key,
  digest text not null,
  applied timestamptz not null default now()
);
