"""What the probes answer, over real HTTP."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest

from perdure.dispatch import Pulse
from perdure.errors import ConfigurationError, ProviderError
from perdure.executor import process
from perdure.executor.probes import Health, ProbeServer
from perdure.executor.settings import ProcessSettings
from perdure.providers.reading import Role
from perdure.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

AWAY = ProviderError("fetch_turns", "connection refused", retryable=True)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health) -> Iterator[ProbeServer]:
    opened = ProbeServer(0, health, Metrics())
    yield opened
    opened.close()


def ask(server: ProbeServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_process_that_starts_is_alive_and_not_ready(server: ProbeServer) -> None:
    assert ask(server, "/livez") == (200, '{"ok": true}\n')
    status, body = ask(server, "/readyz")
    assert status == 503
    assert json.loads(body) == {"ok": False, "reason": "starting"}


def test_code_that_does_not_load_is_told(server: ProbeServer, health: Health) -> None:
    health.problem = "code: Module 'shop' does not import"
    status, body = ask(server, "/readyz")
    assert status == 503
    assert "does not import" in body
    assert ask(server, "/livez")[0] == 200


def test_ready_while_storage_answers_and_alive_while_it_is_away(
    server: ProbeServer, health: Health
) -> None:
    pulse = Pulse()
    health.problem = None
    health.watch([pulse])
    assert "not answered yet" in ask(server, "/readyz")[1]
    pulse.succeeded()
    assert ask(server, "/readyz")[0] == 200
    assert "perdure_ready 1.0" in ask(server, "/metrics")[1]
    pulse.failed(AWAY)
    status, body = ask(server, "/readyz")
    assert status == 503
    assert "connection refused" in body
    assert ask(server, "/livez")[0] == 200
    assert "perdure_ready 0.0" in ask(server, "/metrics")[1]


def test_draining_is_not_ready(server: ProbeServer, health: Health) -> None:
    pulse = Pulse()
    pulse.succeeded()
    health.problem = None
    health.watch([pulse])
    health.draining = True
    assert ask(server, "/readyz") == (503, '{"ok": false, "reason": "draining"}\n')
    assert ask(server, "/livez")[0] == 200


def test_a_process_that_is_stuck_is_dead(server: ProbeServer, health: Health) -> None:
    pulse = Pulse()
    pulse.succeeded()
    health.watch([pulse], lambda: 3600.0)
    status, body = ask(server, "/livez")
    assert status == 503
    assert "one turn has been running for 3600 s" in body
    health.watch([pulse])
    pulse.asked_at -= 3600
    assert "no call of storage has ended" in ask(server, "/livez")[1]


def test_other_paths_are_not_there(server: ProbeServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/livez?verbose")[0] == 200


def test_a_port_that_is_taken_is_named(server: ProbeServer, health: Health) -> None:
    with pytest.raises(ConfigurationError, match=f"PERDURE_PROBE_PORT is {server.port}"):
        ProbeServer(server.port, health, Metrics())


def test_a_process_does_without_a_port_that_is_taken_and_that_nobody_named(
    server: ProbeServer,
) -> None:
    named = ProcessSettings("postgresql://nowhere/db", probe_port=server.port)
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        process._Process(named, Role.REPLAY)._probes()
    unnamed = replace(named, needs_probes=False)
    assert process._Process(unnamed, Role.REPLAY)._probes() is None


def test_a_process_that_lost_many_threads_to_turns_had_better_begin_anew() -> None:
    health, lost = Health(), [0]
    health.watch([], given_up=lambda: lost[0])
    assert health.dead() is None
    lost[0] = 8
    assert health.dead() is None
    lost[0] = 9
    assert health.dead() == "9 turns are in calls that do not return"
