-- Who may call what; applied anew whenever a function or this file has changed.
--
-- Group roles, shared by all installations of a server; logins are made members of them. No one but
-- an owner reads a table: functions run as their owner and are the only way in. What may not be
-- called by name (the parts of other functions) is granted to nobody.
do $$
declare
  v_schema text := current_schema();
  v_role text;
  v_grants constant text[] := array[
    'perdure_executor fetch_activities_v1', 'perdure_executor finish_activities_v1',
    'perdure_executor renew_activities_v1', 'perdure_executor abandon_activities_v1',
    'perdure_executor record_progress_v1', 'perdure_executor renew_sessions_v1',
    'perdure_executor release_sessions_v1',
    'perdure_executor enqueue_v1', 'perdure_executor announce_v1', 'perdure_executor withdraw_v1',
    'perdure_executor ping_v1',
    'perdure_replay fetch_turns_v1', 'perdure_replay commit_turns_v1',
    'perdure_replay renew_turns_v1', 'perdure_replay abandon_turns_v1',
    'perdure_replay read_history_v1', 'perdure_replay announce_v1', 'perdure_replay withdraw_v1',
    'perdure_replay ping_v1',
    'perdure_replay read_keys_v1', 'perdure_replay fetch_questions_v1',
    'perdure_replay give_answers_v1',
    'perdure_client enqueue_v1', 'perdure_client control_v1', 'perdure_client read_instances_v1',
    'perdure_client list_instances_v1', 'perdure_client count_instances_v1',
    'perdure_client read_history_v1',
    'perdure_client read_activities_v1', 'perdure_client read_backlog_v1',
    'perdure_client read_executors_v1', 'perdure_client read_changes_v1',
    'perdure_client ping_v1',
    -- Of activities that are finished from outside: the lease, which nobody can guess, is the right.
    'perdure_client finish_activities_v1', 'perdure_client renew_activities_v1',
    'perdure_client record_progress_v1',
    'perdure_client read_limits_v1',
    'perdure_client start_orchestration_v1', 'perdure_client raise_event_v1',
    'perdure_client enqueue_event_v1', 'perdure_client cancel_instance_v1',
    'perdure_executor start_orchestration_v1', 'perdure_executor raise_event_v1',
    'perdure_executor enqueue_event_v1', 'perdure_executor cancel_instance_v1',
    'perdure_client read_executions_v1', 'perdure_client read_sizes_v1',
    'perdure_client read_totals_v1',
    'perdure_client read_keys_v1', 'perdure_client ask_v1', 'perdure_client read_answers_v1',
    'perdure_admin set_limits_v1', 'perdure_admin drop_limits_v1',
    'perdure_admin allow_tags_v1', 'perdure_admin sweep_v1',
    'perdure_admin delete_instances_v1', 'perdure_admin retire_v1', 'perdure_admin prune_v1',
    'perdure_admin bring_in_v1'
  ];
  v_grant text;
begin
  execute format('revoke all on schema %I from public', v_schema);
  execute format('revoke all on all functions in schema %I from public', v_schema);
  foreach v_role in array array[
    'perdure_executor', 'perdure_replay', 'perdure_client', 'perdure_admin'
  ] loop
    if not exists (select from pg_roles where rolname = v_role) then
      if not (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) then
        return;
      end if;
      begin
        execute format('create role %I nologin', v_role);
      exception when duplicate_object or unique_violation then
        null;  -- another installation is being migrated beside us
      end;
    end if;
    execute format('grant usage on schema %I to %I', v_schema, v_role);
  end loop;
  foreach v_grant in array v_grants loop
    execute format(
      'grant execute on function %I.%I to %I',
      v_schema, split_part(v_grant, ' ', 2), split_part(v_grant, ' ', 1)
    );
  end loop;
  -- An admin may call whatever the others may, and look at the tables.
  foreach v_grant in array v_grants loop
    execute format(
      'grant execute on function %I.%I to perdure_admin', v_schema, split_part(v_grant, ' ', 2)
    );
  end loop;
  execute format('grant select on all tables in schema %I to perdure_admin', v_schema);
end
$$;
