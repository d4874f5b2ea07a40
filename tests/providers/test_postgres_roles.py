from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from perdure.errors import ProviderError
from perdure.model.ids import UNTAGGED, ExecutorId, InstanceId, JsonText, LeaseToken, OperationId
from perdure.model.records import RecordKind
from perdure.providers.administering import Answer, Limit, Prune, Question, Retire
from perdure.providers.postgres import PostgresProvider, migrate
from perdure.providers.reading import ExecutorInfo, ListInstances, Role
from perdure.providers.work import (
    AbandonActivity,
    ActivityCompleted,
    ActivityLease,
    ActivityProgress,
    ActivityResult,
    CodeId,
    Control,
    ControlVerb,
    FetchActivities,
    FetchTurns,
    Message,
    NewActivity,
    NewInstance,
    SessionTerms,
    TurnCommit,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from perdure.testing.postgres import EmbeddedPostgres

LEASE = timedelta(seconds=30)
A = InstanceId("a")
PASSWORD = "opens nothing"
TABLES = [
    *("instance", "live", "event", "activity", "timer", "early_message", "tag_grant", "session"),
    *("gate", "gate_news"),
]
TERMS = SessionTerms(1, LEASE, LEASE)
RESULT = ActivityResult(
    ActivityLease(A, 1, OperationId("0:1"), LeaseToken(1)), ActivityCompleted(JsonText("1"))
)


@dataclass
class Logins:
    """One database, its owner's provider, and logins that are members of one group each."""

    server: EmbeddedPostgres
    database: str
    suffix: str

    def url(self, group: str) -> str:
        return self.server.url_of(self.database, user=f"{group}_{self.suffix}", password=PASSWORD)

    @property
    def owner_url(self) -> str:
        return self.server.url_of(self.database)

    async def execute(self, statement: str, url: str | None = None) -> None:
        connection = await asyncpg.connect(url or self.owner_url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture
async def logins(postgres_server: EmbeddedPostgres, database_url: str) -> AsyncIterator[Logins]:
    made = Logins(postgres_server, database_url.rpartition("/")[2], secrets.token_hex(4))
    assert (await migrate(database_url)).roles
    groups = ("executor", "replay", "client", "admin")
    for group in groups:
        await made.execute(
            f"create role {group}_{made.suffix} login password '{PASSWORD}' in role perdure_{group}"
        )
    await made.execute(f"create role stranger_{made.suffix} login password '{PASSWORD}'")
    yield made
    for group in (*groups, "stranger"):
        await made.execute(f"drop role {group}_{made.suffix}")


def start(instance: InstanceId) -> Message:
    return Message(
        instance,
        RecordKind.STARTED,
        body=JsonText('{"name":"n","input":{}}'),
        start=NewInstance("n", None),
    )


def fetch_turns() -> FetchTurns:
    return FetchTurns(ExecutorId(1), LeaseToken(1), 10, LEASE, [CodeId("n", "1.0.0")])


def fetch_activities(*tags: str) -> FetchActivities:
    return FetchActivities(ExecutorId(1), LeaseToken(2), tags, 10, LEASE)


async def prepare(logins: Logins) -> None:
    """Let instance `a` wait for one activity of the tag `gpu` and one without."""
    async with PostgresProvider(logins.owner_url) as owner:
        await owner.enqueue([start(A)])
        (turn,) = (await owner.fetch_turns(fetch_turns())).turns
        activities = tuple(
            NewActivity(OperationId(f"0:{n}"), "act", tag, JsonText("{}"), None, None)
            for n, tag in enumerate(["gpu", UNTAGGED])
        )
        await owner.commit_turns(
            [TurnCommit(A, 1, turn.token, turn.upto, "1.0.0", JsonText("{}"), activities)]
        )


async def test_an_executor_takes_the_tags_it_was_given_and_no_other(logins: Logins) -> None:
    await prepare(logins)
    role = f"executor_{logins.suffix}"
    async with PostgresProvider(logins.url("executor")) as executor:
        for tags in (["gpu"], [UNTAGGED], ["gpu", UNTAGGED]):
            with pytest.raises(ProviderError, match="may not take") as raised:
                await executor.fetch_activities(fetch_activities(*tags))
            assert not raised.value.retryable
        await logins.execute(f"select perdure.allow_tags_v1('{role}', '{{gpu}}')")
        work = (await executor.fetch_activities(fetch_activities("gpu"))).activities
        assert [each.tag for each in work] == ["gpu"]
        with pytest.raises(ProviderError, match="may not take"):
            await executor.fetch_activities(fetch_activities("gpu", UNTAGGED))
        await logins.execute(f"select perdure.allow_tags_v1('{role}', '{{}}')")
        with pytest.raises(ProviderError, match="may not take"):
            await executor.fetch_activities(fetch_activities("gpu"))


async def test_a_tag_given_to_a_group_is_its_members(logins: Logins) -> None:
    await prepare(logins)
    await logins.execute("select perdure.allow_tags_v1('perdure_executor', array['', 'gpu'])")
    async with PostgresProvider(logins.url("executor")) as executor:
        work = await executor.fetch_activities(fetch_activities("gpu", UNTAGGED))
        assert len(work.activities) == 2


async def test_an_executor_may_start_and_tell_of_itself(logins: Logins) -> None:
    async with PostgresProvider(logins.url("executor")) as executor:
        await executor.enqueue([start(InstanceId("b"))])
        await executor.announce(ExecutorInfo(ExecutorId(1), Role.ACTIVITY, "pod", "build"))
        await executor.withdraw(ExecutorId(1))


@pytest.mark.parametrize("group", ["executor", "client", "admin", "replay", "stranger"])
async def test_who_may_send_may_do_so_from_sql(logins: Logins, group: str) -> None:
    calls = [
        "start_orchestration_v1('a', 'n')",
        "raise_event_v1('a', 'e')",
        "enqueue_event_v1('a', 'q')",
        "cancel_instance_v1('a')",
    ]
    for call in calls:
        sent = logins.execute(f"select perdure.{call}", logins.url(group))
        if group in {"replay", "stranger"}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await sent
        else:
            await sent


async def test_nobody_outside_sends_in_an_instances_name(logins: Logins) -> None:
    message = "(null, 'x', 1, null, '{}', null, 1, 'n', null, '', null, false, 0, null, null, 'a')"
    call = f"select perdure.enqueue_v1(array[row{message}::perdure.message_v1], '1 day', 10)"
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await logins.execute(call, logins.url("client"))


type Verb = Callable[[PostgresProvider], Awaitable[object]]

VERBS: dict[str, Verb] = {
    "fetch_turns": lambda p: p.fetch_turns(fetch_turns()),
    "commit_turns": lambda p: p.commit_turns(
        [TurnCommit(A, 1, LeaseToken(1), 1, "1.0.0", JsonText("{}"))]
    ),
    "fetch_activities": lambda p: p.fetch_activities(fetch_activities("gpu")),
    "read_history": lambda p: p.read_history(A),
    "read_instances": lambda p: p.read_instances([A]),
    "list_instances": lambda p: p.list_instances(ListInstances()),
    "control": lambda p: p.control([Control(A, ControlVerb.TERMINATE)]),
    "enqueue": lambda p: p.enqueue([start(InstanceId("c"))]),
    "read_changes": lambda p: p.read_changes(0, 10),
    "ping": lambda p: p.ping(),
    "finish_activities": lambda p: p.finish_activities([RESULT]),
    "renew_activities": lambda p: p.renew_activities([RESULT.lease], LEASE),
    "record_progress": lambda p: p.record_progress([ActivityProgress(RESULT.lease, JsonText("1"))]),
    "abandon_activities": lambda p: p.abandon_activities([AbandonActivity(RESULT.lease)]),
    "renew_sessions": lambda p: p.renew_sessions(ExecutorId(1), TERMS),
    "release_sessions": lambda p: p.release_sessions(ExecutorId(1)),
    "set_limits": lambda p: p.set_limits([Limit("k", concurrency=1)]),
    "drop_limits": lambda p: p.drop_limits(["k"]),
    "read_limits": lambda p: p.read_limits(),
    "read_keys": lambda p: p.read_keys([A]),
    "ask": lambda p: p.ask([Question("q", A, "h", JsonText("{}"), LEASE)]),
    "fetch_questions": lambda p: p.fetch_questions(ExecutorId(1), [CodeId("n", "1")], 1, LEASE),
    "answer": lambda p: p.answer([Answer("q", JsonText("1"))]),
    "read_answers": lambda p: p.read_answers(A, ["q"]),
    "count_instances": lambda p: p.count_instances(ListInstances()),
    "read_executions": lambda p: p.read_executions(A),
    "read_sizes": lambda p: p.read_sizes([A]),
    "read_totals": lambda p: p.read_totals(),
    "retire": lambda p: p.retire(Retire(1)),
    "prune": lambda p: p.prune([Prune(A)]),
    "delete_instances": lambda p: p.delete_instances([A]),
    "sweep": lambda p: p.sweep(),
}
MEASURING = {"read_executions", "read_sizes", "read_totals"}
DELETING = {"retire", "prune", "delete_instances", "sweep"}

DENIED = {
    "executor": {
        *("fetch_turns", "commit_turns", "read_history", "read_instances", "list_instances"),
        *("control", "read_changes", "set_limits", "drop_limits", "read_limits"),
        *("read_keys", "ask", "fetch_questions", "answer", "read_answers", "count_instances"),
        *MEASURING,
        *DELETING,
    },
    "replay": {
        *("fetch_activities", "read_instances", "list_instances", "control", "enqueue"),
        *("read_changes", "finish_activities", "renew_activities", "record_progress"),
        *("abandon_activities", "renew_sessions", "release_sessions", "set_limits"),
        *("drop_limits", "read_limits", "ask", "read_answers", "count_instances"),
        *MEASURING,
        *DELETING,
    },
    # With the lease of an activity, which nobody can guess, it may be finished from outside.
    "client": {
        *("fetch_turns", "commit_turns", "fetch_activities", "abandon_activities"),
        *("renew_sessions", "release_sessions", "set_limits", "drop_limits"),
        *("fetch_questions", "answer", *DELETING),
    },
    "stranger": set(VERBS),
    "admin": set(),
}


@pytest.mark.parametrize("group", DENIED)
async def test_a_role_is_denied_what_is_not_its_business(logins: Logins, group: str) -> None:
    await logins.execute("select perdure.allow_tags_v1('perdure_executor', array['gpu'])")
    provider = PostgresProvider(logins.url(group))
    denied: set[str] = set()
    for name, call in VERBS.items():
        try:
            await call(provider)
        except ProviderError as error:
            assert "permission denied" in str(error), error  # noqa: PT017  the others must pass
            denied.add(name)
    await provider.__aexit__()
    assert denied == DENIED[group]


@pytest.mark.parametrize("group", ["executor", "replay", "client", "stranger"])
@pytest.mark.parametrize("table", TABLES)
async def test_nobody_but_an_admin_reads_a_table(logins: Logins, group: str, table: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await logins.execute(f"table perdure.{table}", logins.url(group))


async def test_an_admin_reads_and_does_not_write_tables(logins: Logins) -> None:
    await logins.execute("select * from perdure.event", logins.url("admin"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await logins.execute("delete from perdure.event", logins.url("admin"))


@pytest.mark.parametrize(
    "part",
    [
        *("send_v1", "terminate_v1", "fire_timers_v1", "park_v1", "send_one_v1", "admit_v1"),
        *("settle_limits_v1", "claim_offered_v1", "let_go_v1", "limit_leave_v1", "limit_enter_v1"),
    ],
)
async def test_the_parts_of_functions_are_nobodys_to_call(logins: Logins, part: str) -> None:
    connection = await asyncpg.connect(logins.owner_url)
    granted = await connection.fetchval(
        "select bool_or(has_function_privilege(r.rolname, p.oid, 'execute')) from pg_proc p "
        "join pg_roles r on r.rolname like 'perdure\\_%' where p.proname = $1",
        part,
    )
    await connection.close()
    assert granted is False


async def test_a_login_that_cannot_create_roles_migrates_without_them(
    postgres_server: EmbeddedPostgres, database_url: str
) -> None:
    # The group roles exist by now or not, as other tests ran or not: both must work.
    database = database_url.rpartition("/")[2]
    role = f"owner_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"create role {role} login password '{PASSWORD}'")
        await connection.execute(f'grant create on database "{database}" to {role}')
        url = postgres_server.url_of(database, user=role, password=PASSWORD)
        await migrate(url)
        async with PostgresProvider(url) as provider:
            await provider.fetch_activities(fetch_activities("any"))
    finally:
        await connection.execute(f"drop owned by {role}; drop role {role}")
        await connection.close()
