-- Everything in the schema $1, one row each: a name that says what it is, and its definition.
select case c.relkind when 'S' then 'sequence ' when 'c' then 'type ' else 'table ' end
       || c.relname,
       concat_ws(' ', c.relkind, c.relpersistence, array_to_string(c.reloptions, ','))
  from pg_class c
 where c.relnamespace = to_regnamespace(quote_ident($1)) and c.relkind not in ('i', 't')
union all
select 'column ' || c.relname || '.' || a.attname,
       concat_ws(
         ' ', case when c.relkind = 'c' then a.attnum end, format_type(a.atttypid, a.atttypmod),
         o.collname, case when a.attnotnull then 'not null' end, nullif(a.attidentity, ''),
         pg_get_expr(d.adbin, d.adrelid)
       )
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_collation o on o.oid = a.attcollation and o.collname <> 'default'
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
 where c.relnamespace = to_regnamespace(quote_ident($1)) and c.relkind in ('r', 'p', 'c', 'v')
union all
select 'index ' || i.relname,
       pg_get_indexdef(x.indexrelid) || case when x.indisvalid then '' else ' (invalid)' end
  from pg_index x
  join pg_class i on i.oid = x.indexrelid
 where i.relnamespace = to_regnamespace(quote_ident($1))
union all
-- A constraint 'n' says what its column says too, and newer servers alone have it.
select 'constraint ' || c.relname || '.' || o.conname, pg_get_constraintdef(o.oid)
  from pg_constraint o
  join pg_class c on c.oid = o.conrelid
 where c.relnamespace = to_regnamespace(quote_ident($1)) and o.contype <> 'n'
union all
select 'trigger ' || c.relname || '.' || t.tgname, pg_get_triggerdef(t.oid)
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
 where c.relnamespace = to_regnamespace(quote_ident($1)) and not t.tgisinternal
union all
select 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
       pg_get_functiondef(p.oid)
  from pg_proc p
 where p.pronamespace = to_regnamespace(quote_ident($1)) and p.prokind <> 'a'
