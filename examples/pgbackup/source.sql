-- Something to back up: three databases with rows. Run twice it changes nothing.
select 'create database ' || name from unnest(array['orders', 'crm', 'blog']) name
where not exists (select from pg_database where datname = name)
\gexec

\connect orders
create table if not exists customer (id bigint primary key, name text not null);
create table if not exists "order" (
    id bigint primary key,
    customer bigint not null references customer,
    cents bigint not null,
    placed timestamptz not null
);
insert into customer select n, 'customer ' || n from generate_series(1, 5000) n on conflict do nothing;
insert into "order"
select n, 1 + n % 5000, 100 + n * 7919 % 100000, timestamptz '2026-01-01' + n * interval '1 minute'
from generate_series(1, 100000) n
on conflict do nothing;

\connect crm
create table if not exists note (id bigint primary key, body text not null);
insert into note select n, repeat(md5(n::text), 20) from generate_series(1, 20000) n on conflict do nothing;

\connect blog
create schema if not exists site;
create table if not exists site.post (id bigint primary key, title text not null, tags text[]);
insert into site.post select n, 'post ' || n, array['a', 'b'] from generate_series(1, 300) n on conflict do nothing;
