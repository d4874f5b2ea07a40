-- The ledger that transactional activities write into, beside the tables of the provider.

-- name: make
create table ledger (entry text not null)

-- name: enter
insert into ledger (entry) values (?)

-- name: entries
select entry from ledger

-- name: doubled
select entry, count(*) from ledger group by entry having count(*) > 1
