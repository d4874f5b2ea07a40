"""Wrong uses of settings, URLs and the test kit, each with the message that its user gets.

Nothing is opened, connected to or started.
"""

# ruff: noqa: ARG005  wrong uses do what nobody should

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from perdure import OrchestrationContext, activity, orchestration
from perdure.dispatch import ActivitySettings, TurnSettings
from perdure.errors import ConfigurationError, PayloadError
from perdure.executor.settings import ExecutorSettings, ReplayerSettings
from perdure.providers import opening
from perdure.testing import Environment, StalledError

BASE = {"PERDURE_DATABASE_URL": "sqlite://"}

# As whoever has no type checker: it would find most of these.
open_provider: Any = opening.open_provider
settings: Any = ActivitySettings
kit: Any = Environment


def E(**given: str) -> object:  # noqa: N802  short, for the table
    """Settings of an executor."""
    return ExecutorSettings.from_env(
        {**BASE, **{f"PERDURE_{name}": text for name, text in given.items()}}
    )


def T(**given: str) -> object:  # noqa: N802  likewise
    """Settings of a replayer."""
    return ReplayerSettings.from_env(
        {**BASE, **{f"PERDURE_{name}": text for name, text in given.items()}}
    )


@activity
def work(x: int) -> int:
    return x


@orchestration
async def run(ctx: OrchestrationContext) -> int:
    return ctx.execution + await work(1)


def inside(use: Callable[[Any], object]) -> object:
    with Environment(run) as orch:
        return use(orch)


SETTINGS: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "env nothing",
        lambda: ExecutorSettings.from_env({}),
        ConfigurationError,
        (
            "No database is named: set PERDURE_DATABASE_URL to "
            "postgresql://user:password@host:port/database, or "
            "PERDURE_DATABASE_URL_FILE to a file that holds it"
        ),
    ),
    (
        "env file",
        lambda: ExecutorSettings.from_env({"PERDURE_DATABASE_URL_FILE": "/nowhere/url"}),
        ConfigurationError,
        (
            "PERDURE_DATABASE_URL_FILE names /nowhere/url, which cannot be read: "
            "[Errno 2] No such file or directory: '/nowhere/url'"
        ),
    ),
    (
        "slots text",
        lambda: E(SLOTS="many"),
        ConfigurationError,
        "PERDURE_SLOTS is 'many'; expected a whole number",
    ),
    (
        "slots zero",
        lambda: E(SLOTS="0"),
        ConfigurationError,
        "PERDURE_SLOTS is 0; expected a whole number from 1 to 10000",
    ),
    (
        "slots big",
        lambda: E(SLOTS="10001"),
        ConfigurationError,
        "PERDURE_SLOTS is 10001; expected a whole number from 1 to 10000",
    ),
    (
        "slots float",
        lambda: E(SLOTS="1.5"),
        ConfigurationError,
        "PERDURE_SLOTS is '1.5'; expected a whole number",
    ),
    (
        "lease",
        lambda: E(LEASE_SECONDS="0.5"),
        ConfigurationError,
        ("PERDURE_LEASE_SECONDS is 0.5; expected a number of seconds from 1 to 86400"),
    ),
    (
        "lease inf",
        lambda: T(LEASE_SECONDS="inf"),
        ConfigurationError,
        ("PERDURE_LEASE_SECONDS is inf; expected a number of seconds from 1 to 86400"),
    ),
    (
        "lease nan",
        lambda: T(LEASE_SECONDS="nan"),
        ConfigurationError,
        ("PERDURE_LEASE_SECONDS is nan; expected a number of seconds from 1 to 86400"),
    ),
    (
        "drain",
        lambda: E(DRAIN_SECONDS="-1"),
        ConfigurationError,
        ("PERDURE_DRAIN_SECONDS is -1; expected a number of seconds from 0 to 86400"),
    ),
    (
        "grace",
        lambda: E(CANCEL_GRACE_SECONDS="soon"),
        ConfigurationError,
        "PERDURE_CANCEL_GRACE_SECONDS is 'soon'; expected a number of seconds",
    ),
    (
        "sess",
        lambda: E(SESSIONS_IDLE_SECONDS="20"),
        ConfigurationError,
        (
            "sessions_idle (PERDURE_SESSIONS_IDLE_SECONDS) is 20 s; it must be longer"
            " than the leases of sessions and activities, the longer of which is 30 "
            "s: else a session would look idle while it is used"
        ),
    ),
    (
        "sesslim",
        lambda: E(SESSIONS_LIMIT="-1"),
        ConfigurationError,
        "PERDURE_SESSIONS_LIMIT is -1; expected a whole number from 0 to 100000",
    ),
    (
        "tags",
        lambda: E(TAGS="x" * 64),
        ConfigurationError,
        (
            "PERDURE_TAGS has the tag "
            "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', "
            "which cannot be: it has 64 bytes of UTF-8; it needs 1 to 63"
        ),
    ),
    (
        "tags nul",
        lambda: E(TAGS="a\0b"),
        ConfigurationError,
        (
            "PERDURE_TAGS has the tag 'a\\x00b', which cannot be: it has a control "
            "character; leave it out"
        ),
    ),
    (
        "untagged",
        lambda: E(UNTAGGED="maybe"),
        ConfigurationError,
        ("PERDURE_UNTAGGED is 'maybe'; expected true or 1 or yes or on or false or 0 or no or off"),
    ),
    (
        "notag",
        lambda: E(UNTAGGED="false"),
        ConfigurationError,
        (
            "PERDURE_TAGS is empty and PERDURE_UNTAGGED is false: this executor would"
            " take no activity; name a tag or set PERDURE_UNTAGGED=true"
        ),
    ),
    (
        "port",
        lambda: E(PROBE_PORT="70000"),
        ConfigurationError,
        "PERDURE_PROBE_PORT is 70000; expected a whole number from 0 to 65535",
    ),
    (
        "level",
        lambda: E(LOG_LEVEL="loud"),
        ConfigurationError,
        "PERDURE_LOG_LEVEL is 'loud'; expected debug or info or warning or error",
    ),
    (
        "fmt",
        lambda: E(LOG_FORMAT="xml"),
        ConfigurationError,
        "PERDURE_LOG_FORMAT is 'xml'; expected json or text",
    ),
    (
        "load",
        lambda: E(ON_LOAD_ERROR="ignore"),
        ConfigurationError,
        "PERDURE_ON_LOAD_ERROR is 'ignore'; expected exit or wait",
    ),
    (
        "trip",
        lambda: T(TRIPWIRE="shout"),
        ConfigurationError,
        "PERDURE_TRIPWIRE is 'shout'; expected off or warn or error",
    ),
    (
        "nond",
        lambda: T(ON_NONDETERMINISM="ignore"),
        ConfigurationError,
        "PERDURE_ON_NONDETERMINISM is 'ignore'; expected block or fail",
    ),
    (
        "hist",
        lambda: T(HISTORY_LIMIT="5"),
        ConfigurationError,
        "PERDURE_HISTORY_LIMIT is 5; expected a whole number from 100",
    ),
    (
        "cached",
        lambda: T(EXECUTIONS_CACHED="-1"),
        ConfigurationError,
        "PERDURE_EXECUTIONS_CACHED is -1; expected a whole number from 0",
    ),
    (
        "cached big",
        lambda: T(EXECUTIONS_CACHED="1e9"),
        ConfigurationError,
        "PERDURE_EXECUTIONS_CACHED is '1e9'; expected a whole number",
    ),
    (
        "turn zero",
        lambda: TurnSettings(lease=timedelta(0)),
        ConfigurationError,
        "TurnSettings.lease is 0 s; it must be more than 0",
    ),
    (
        "act slots",
        lambda: ActivitySettings(slots=0),
        ConfigurationError,
        "ActivitySettings.slots is 0; it must be at least 1",
    ),
    (
        "act tags str",
        lambda: settings(tags="gpu"),
        ConfigurationError,
        "ActivitySettings.tags is 'gpu'; expected a tuple, as in ('gpu',)",
    ),
    (
        "url scheme",
        lambda: open_provider("mysql://x/y"),
        ConfigurationError,
        (
            "the database URL cannot be: its scheme is 'mysql'; expected "
            "postgresql://user:password@host:port/database, or sqlite:///FILE"
        ),
    ),
    (
        "url empty",
        lambda: open_provider(""),
        ConfigurationError,
        (
            "no database is named: expected "
            "postgresql://user:password@host:port/database, sqlite:///FILE, or "
            "sqlite:// for memory"
        ),
    ),
    (
        "url sqlite host",
        lambda: open_provider("sqlite://host/x"),
        ConfigurationError,
        (
            "the database URL cannot be: sqlite://host/x; expected sqlite:///FILE "
            "(four slashes before a whole path) or sqlite:// for memory, without "
            "options"
        ),
    ),
    (
        "url sqlite opt",
        lambda: open_provider("sqlite:///x?mode=ro"),
        ConfigurationError,
        (
            "the database URL cannot be: sqlite:///x?mode=ro; expected sqlite:///FILE"
            " (four slashes before a whole path) or sqlite:// for memory, without "
            "options"
        ),
    ),
    (
        "url port",
        lambda: open_provider("postgresql://u:secret@h:abc/db"),
        ConfigurationError,
        (
            "the database URL cannot be: the port is 'abc', which is no number from 1"
            " to 65,535; expected postgresql://user:password@host:port/database"
        ),
    ),
    (
        "url none",
        lambda: open_provider(None),
        ConfigurationError,
        (
            "no database is named: expected "
            "postgresql://user:password@host:port/database, sqlite:///FILE, or "
            "sqlite:// for memory"
        ),
    ),
]

KIT: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "mock none",
        lambda: inside(lambda e: e.mock(work)),
        TypeError,
        "A mock of activity 'work' needs exactly one of returns=, raises= and by=",
    ),
    (
        "mock two",
        lambda: inside(lambda e: e.mock(work, returns=1, raises=ValueError)),
        TypeError,
        "A mock of activity 'work' needs exactly one of returns=, raises= and by=",
    ),
    (
        "mock value",
        lambda: inside(lambda e: e.mock(work, returns="x")),
        PayloadError,
        (
            "the result of activity 'work' is declared int, found str: Expected `int`"
            " [input_value='x', input_type=str]"
        ),
    ),
    (
        "mock by",
        lambda: inside(lambda e: e.mock(work, by=lambda y: 1)),
        TypeError,
        (
            "A mock of activity 'work' must take its parameters by name (x); (y) does"
            " not: missing a required argument: 'y'"
        ),
    ),
    (
        "mock orch",
        lambda: inside(lambda e: e.mock(run, returns=1)),
        TypeError,
        (
            "activities are mocked, not <orchestration 'run'>: decorate it with "
            "@activity, or mock the activities that it calls"
        ),
    ),
    (
        "mock opt",
        lambda: inside(lambda e: e.mock(work, return_value=1)),
        TypeError,
        (
            "A mock of activity 'work' has no return_value=; it has returns=, "
            "raises=, by= and times="
        ),
    ),
    (
        "mock times",
        lambda: inside(lambda e: e.mock(work, returns=1, times=0)),
        ValueError,
        (
            "A mock of activity 'work' for 0 calls would never be used; give times= "
            "at least 1, or leave it out for all"
        ),
    ),
    (
        "mock plain",
        lambda: inside(lambda e: e.mock(print, returns=1)),
        TypeError,
        (
            "activities are mocked, not <built-in function print>: decorate it with "
            "@activity, or mock the activities that it calls"
        ),
    ),
    (
        "adv neg",
        lambda: inside(lambda e: e.wait(e.advance(timedelta(hours=-1)))),
        ValueError,
        "time cannot pass by -1 day, 23:00:00: it only goes on",
    ),
    (
        "adv unknown",
        lambda: inside(lambda e: e.wait(e.advance(year=1))),
        TypeError,
        (
            "time has no 'year'; give weeks, days, hours, minutes, seconds, "
            "milliseconds, or a timedelta"
        ),
    ),
    (
        "adv next",
        lambda: inside(lambda e: e.wait(e.advance_to_next())),
        StalledError,
        "no run waits for a timer",
    ),
    (
        "crash",
        lambda: inside(lambda e: e.crash_after(0)),
        ValueError,
        "crash_after(0): 1 is the next write; there is none before it",
    ),
    (
        "run plain",
        lambda: inside(lambda e: e.run(print)),
        TypeError,
        (
            "activities and orchestrations are registered, not <built-in function "
            "print>: decorate it with @activity or @orchestration"
        ),
    ),
    (
        "env register",
        lambda: kit(print),
        TypeError,
        (
            "activities and orchestrations are registered, not <built-in function "
            "print>: decorate it with @activity or @orchestration"
        ),
    ),
]


@pytest.mark.parametrize(
    ("use", "kind", "message"),
    [row[1:] for row in SETTINGS + KIT],
    ids=[row[0] for row in SETTINGS + KIT],
)
def test_settings(use: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  the kind is looked at below
        use()
    assert (type(caught.value), str(caught.value)) == (kind, message)
