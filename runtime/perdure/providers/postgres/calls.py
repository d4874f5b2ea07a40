"""The statements: the one place that knows the schema's name and the functions' arguments."""

from __future__ import annotations

__all__ = ["Calls", "quote_identifier"]


def quote_identifier(name: str) -> str:
    """Quote a name for SQL; any name will do."""
    return '"' + name.replace('"', '""') + '"'


class Calls:
    """Every call of a function in one schema."""

    def __init__(self, schema: str) -> None:  # noqa: PLR0915  a line for each function
        prefix = quote_identifier(schema)

        def call(function: str, arguments: int) -> str:
            places = ", ".join(f"${number}" for number in range(1, arguments + 1))
            return f"select * from {prefix}.{function}({places})"  # noqa: S608  constants only

        def telling(function: str, arguments: int) -> str:
            """Say what tells hints, two more arguments, in the very transaction of the call."""
            places = ", ".join(f"${number}" for number in range(1, arguments + 1))
            channels, payloads = f"${arguments + 1}::text[]", f"${arguments + 2}::text[]"
            return (
                f"select f.*, h.told from {prefix}.{function}({places}) f,"  # noqa: S608  constants only
                " (select count(pg_notify(u.channel, u.payload)) as told"
                f" from unnest({channels}, {payloads}) u(channel, payload)) h"
            )

        self.enqueue = call("enqueue_v1", 4)
        self.fetch_turns = call("fetch_turns_v1", 8)
        self.commit_turns = call("commit_turns_v1", 12)
        self.renew_turns = call("renew_turns_v1", 3)
        self.abandon_turns = call("abandon_turns_v1", 6)
        self.fetch_activities = call("fetch_activities_v1", 9)
        self.finish_activities = call("finish_activities_v1", 2)
        self.renew_activities = call("renew_activities_v1", 3)
        self.abandon_activities = call("abandon_activities_v1", 4)
        self.record_progress = call("record_progress_v1", 3)
        self.renew_sessions = call("renew_sessions_v1", 4)
        self.release_sessions = call("release_sessions_v1", 2)
        self.set_limits = call("set_limits_v1", 2)
        self.drop_limits = call("drop_limits_v1", 2)
        self.read_limits = call("read_limits_v1", 1)
        self.control = call("control_v1", 2)
        self.read_instances = call("read_instances_v1", 1)
        self.list_instances = call("list_instances_v1", 4)
        self.count_instances = call("count_instances_v1", 1)
        self.read_history = call("read_history_v1", 4)
        self.read_activities = call("read_activities_v1", 2)
        self.read_backlog = call("read_backlog_v1", 1)
        self.read_executors = call("read_executors_v1", 1)
        self.read_changes = call("read_changes_v1", 2)
        self.read_executions = call("read_executions_v1", 1)
        self.read_sizes = call("read_sizes_v1", 1)
        self.read_totals = call("read_totals_v1", 1)
        self.delete_instances = call("delete_instances_v1", 4)
        self.retire = call("retire_v1", 10)
        self.prune = call("prune_v1", 4)
        self.bring_in = call("bring_in_v1", 3)
        self.sweep = call("sweep_v1", 2)
        self.read_keys = call("read_keys_v1", 2)
        self.ask = call("ask_v1", 7)
        self.fetch_questions = call("fetch_questions_v1", 6)
        self.give_answers = call("give_answers_v1", 4)
        self.read_answers = call("read_answers_v1", 2)
        self.announce = call("announce_v1", 12)
        self.withdraw = call("withdraw_v1", 1)
        # To be called on a connection of its own, after the commit: the lock that a notification
        # takes while it commits would let no two commits go to disk together. A notification is a
        # transaction that writes, and nobody needs it after a crash: it does not wait for the disk.
        self.send_hints = (
            "select pg_notify(channel, payload)"
            " from set_config('synchronous_commit', 'off', true),"
            " unnest($1::text[], $2::text[]) h(channel, payload)"
        )
        self.enqueue_telling = telling("enqueue_v1", 4)
        self.commit_turns_telling = telling("commit_turns_v1", 12)
        self.finish_activities_telling = telling("finish_activities_v1", 2)
        self.ping = call("ping_v1", 0)
