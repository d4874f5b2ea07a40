-- Statements of opening a file.

-- name: journal
pragma journal_mode = wal

-- name: to_disk
pragma synchronous = full

-- name: to_disk_later
pragma synchronous = normal

-- name: is_there
select 1 from sqlite_master where type = 'table' and name = 'perdure_schema'

-- name: version
select version from perdure_schema

-- name: set_version
insert into perdure_schema (version) values (?)

-- name: begin
begin immediate

-- name: begin_reading
begin

-- name: commit
commit

-- name: rollback
rollback

-- name: savepoint
savepoint perdure_item

-- name: release
release perdure_item

-- name: undo
rollback to perdure_item

-- name: data_version
pragma data_version

-- name: files
pragma database_list
