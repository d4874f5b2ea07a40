"""Settings from the environment: defaults, values, and errors that name the variable."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from perdure.errors import ConfigurationError
from perdure.executor import ExecutorSettings, ReplayerSettings
from perdure.executor.settings import OnLoadError
from perdure.model.strictness import WATCHFUL, OnNondeterminism, Strictness, TripwirePolicy

if TYPE_CHECKING:
    from pathlib import Path

URL = "postgresql://ada:secret@db/perdure"
LEAST = {"PERDURE_DATABASE_URL": URL}


def test_the_least_is_a_database() -> None:
    executor = ExecutorSettings.from_env(LEAST)
    assert executor.process.database_url == URL
    assert executor.process.schema == "perdure"
    assert executor.process.probe_port == 8080
    assert not executor.process.needs_probes
    assert executor.process.on_load_error is OnLoadError.EXIT
    assert executor.activities.tags == ("",)
    assert executor.activities.slots == 64
    replayer = ReplayerSettings.from_env(LEAST)
    assert replayer.turns.lease == timedelta(seconds=10)
    assert replayer.drain == timedelta(seconds=30)
    assert replayer.turns.strictness == WATCHFUL


def test_everything_can_be_set() -> None:
    env = {
        **LEAST,
        "PERDURE_SCHEMA": "other",
        "PERDURE_APP": "shop.orders",
        "PERDURE_TAGS": "gpu, io,,gpu",
        "PERDURE_UNTAGGED": "yes",
        "PERDURE_SLOTS": "8",
        "PERDURE_LEASE_SECONDS": "12.5",
        "PERDURE_DRAIN_SECONDS": "40",
        "PERDURE_CANCEL_GRACE_SECONDS": "3",
        "PERDURE_PROBE_PORT": "0",
        "PERDURE_LOG_LEVEL": "DEBUG",
        "PERDURE_LOG_FORMAT": "json",
        "PERDURE_BUILD": "b7",
        "PERDURE_EXECUTOR_NAME": "pod-3",
        "PERDURE_ON_LOAD_ERROR": "wait",
        "PERDURE_TRIPWIRE": "Error",
        "PERDURE_ON_NONDETERMINISM": "fail",
    }
    settings = ExecutorSettings.from_env(env)
    assert settings.activities.tags == ("gpu", "io", "")
    assert settings.activities.slots == 8
    assert settings.activities.lease == timedelta(seconds=12.5)
    assert settings.activities.drain == timedelta(seconds=40)
    assert settings.activities.cancel_grace == timedelta(seconds=3)
    process = settings.process
    assert (process.schema, process.app, process.build) == ("other", "shop.orders", "b7")
    assert (process.name, process.probe_port, process.log_level) == ("pod-3", None, "debug")
    strictness = ReplayerSettings.from_env(env).turns.strictness
    assert strictness == Strictness(TripwirePolicy.ERROR, OnNondeterminism.FAIL)
    assert process.on_load_error is OnLoadError.WAIT


def test_sessions_are_taken_on_the_terms_that_are_given() -> None:
    env = {
        **LEAST,
        "PERDURE_SESSIONS_LIMIT": "7",
        "PERDURE_SESSIONS_LEASE_SECONDS": "20",
        "PERDURE_SESSIONS_IDLE_SECONDS": "90",
    }
    found = ExecutorSettings.from_env(env).activities
    assert (found.sessions_max, found.sessions_lease.seconds, found.sessions_idle.seconds) == (
        *(7, 20, 90),
    )


@pytest.mark.parametrize(
    ("given", "idle"),
    [({}, 300), ({"PERDURE_LEASE_SECONDS": "600"}, 1200), ({"PERDURE_LEASE_SECONDS": "60"}, 300)],
)
def test_a_long_lease_alone_lets_sessions_last_longer(given: dict[str, str], idle: int) -> None:
    found = ExecutorSettings.from_env({**LEAST, **given}).activities
    assert found.sessions_idle.total_seconds() == idle


def test_tags_alone_leave_the_untagged_to_others() -> None:
    assert ExecutorSettings.from_env({**LEAST, "PERDURE_TAGS": "gpu"}).activities.tags == ("gpu",)


def test_in_a_pod_code_that_does_not_load_is_waited_out() -> None:
    env = {**LEAST, "KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOSTNAME": "pod-1"}
    process = ReplayerSettings.from_env(env).process
    assert process.on_load_error is OnLoadError.WAIT
    assert (process.log_style, process.name) == ("json", "pod-1")


def test_the_url_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    env = {"PERDURE_DATABASE_URL_FILE": str(file)}
    assert ExecutorSettings.from_env(env).process.database_url == URL


def test_the_password_is_never_shown() -> None:
    assert "secret" not in repr(ExecutorSettings.from_env(LEAST))


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PERDURE_SLOTS", "many", "PERDURE_SLOTS is 'many'; expected a whole number"),
        ("PERDURE_SLOTS", "0", "PERDURE_SLOTS is 0; expected a whole number from 1 to 10000"),
        ("PERDURE_LEASE_SECONDS", "nan", "PERDURE_LEASE_SECONDS is nan; expected a number"),
        ("PERDURE_DRAIN_SECONDS", "-1", "PERDURE_DRAIN_SECONDS is -1; expected a number"),
        ("PERDURE_PROBE_PORT", "99999", "PERDURE_PROBE_PORT is 99999"),
        ("PERDURE_LOG_LEVEL", "loud", "PERDURE_LOG_LEVEL is 'loud'; expected debug or info"),
        ("PERDURE_LOG_FORMAT", "xml", "PERDURE_LOG_FORMAT is 'xml'; expected json or text"),
        ("PERDURE_UNTAGGED", "maybe", "PERDURE_UNTAGGED is 'maybe'"),
        ("PERDURE_UNTAGGED", "false", "would take no activity"),
        ("PERDURE_TAGS", "x" * 64, "64 bytes of UTF-8; it needs 1 to 63"),
        ("PERDURE_DATABASE_URL", "", "set PERDURE_DATABASE_URL"),
        ("PERDURE_ON_LOAD_ERROR", "panic", "expected exit or wait"),
        ("PERDURE_SESSIONS_LIMIT", "-1", "PERDURE_SESSIONS_LIMIT is -1; expected a whole number"),
        ("PERDURE_SESSIONS_LEASE_SECONDS", "0", "PERDURE_SESSIONS_LEASE_SECONDS is 0; expected"),
        ("PERDURE_SESSIONS_IDLE_SECONDS", "30", "(PERDURE_SESSIONS_IDLE_SECONDS) is 30 s; it must"),
    ],
)
def test_errors_name_the_variable_and_what_was_found(
    variable: str, value: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ExecutorSettings.from_env({**LEAST, variable: value})
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [None, ""])
def test_a_file_without_a_url_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match="PERDURE_DATABASE_URL_FILE names"):
        ExecutorSettings.from_env({"PERDURE_DATABASE_URL_FILE": str(file)})
