"""`/livez`, `/readyz` and `/metrics`, served from a thread of their own.

A thread, so that a busy event loop still answers; what the answers say comes from `Health`, which
the process keeps up to date. *Ready* means: code loaded, storage answered lately, not draining.
*Live* means only that the process is not stuck: storage being away, or code that does not load, are
no reasons to be killed.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from perdure.dispatch import Pulse
from perdure.errors import ConfigurationError
from perdure.telemetry import Metrics

__all__ = ["Health", "ProbeServer"]

_STUCK_SECONDS = 60.0
_READY_SECONDS = 30.0
_GIVEN_UP_MAX = 8
"""Threads that a process may lose to calls that do not return before it had better begin anew."""


class Health:
    """What the probes of one process tell; written by the process, read by the server's threads."""

    def __init__(self) -> None:
        self.problem: str | None = "starting"
        """Why the process is not ready, whatever storage says; None: nothing is wrong."""
        self.draining = False
        self._pulses: Sequence[Pulse] = ()
        self._stuck_seconds: Callable[[], float] = lambda: 0.0
        self._given_up: Callable[[], int] = lambda: 0
        self._loop_seen_at = time.monotonic()
        self._is_running = False

    def watch(
        self,
        pulses: Sequence[Pulse],
        stuck_seconds: Callable[[], float] = lambda: 0.0,
        given_up: Callable[[], int] = lambda: 0,
    ) -> None:
        """Look at these from now on: the process is running."""
        self._pulses = pulses
        self._stuck_seconds = stuck_seconds
        self._given_up = given_up
        self._loop_seen_at = time.monotonic()
        self._is_running = True

    def beat(self) -> None:
        """Note that the event loop turns; to be called every few seconds."""
        self._loop_seen_at = time.monotonic()

    def unready(self) -> str | None:
        """Say why the process takes no work; None if it does."""
        if self.draining:
            return "draining"
        if self.problem is not None:
            return self.problem
        now = time.monotonic()
        for pulse in self._pulses:
            if pulse.trouble is not None:
                return f"storage: {pulse.trouble}"
            if pulse.answered_at is None or now - pulse.answered_at > _READY_SECONDS:
                return "storage has not answered lately"
        return None

    def dead(self) -> str | None:
        """Say why the process should be restarted; None if it should not."""
        if not self._is_running:
            return None
        now = time.monotonic()
        if now - self._loop_seen_at > _STUCK_SECONDS:
            return f"the event loop has not turned for {now - self._loop_seen_at:.0f} s"
        if (seconds := self._stuck_seconds()) > _STUCK_SECONDS:
            return f"one turn has been running for {seconds:.0f} s"
        if (given_up := self._given_up()) > _GIVEN_UP_MAX:
            return f"{given_up} turns are in calls that do not return"
        for pulse in self._pulses:
            if now - pulse.asked_at > _STUCK_SECONDS:
                return f"no call of storage has ended for {now - pulse.asked_at:.0f} s"
        return None


class ProbeServer:
    """Serves probes and metrics on all interfaces while it is open."""

    def __init__(self, port: int, health: Health, metrics: Metrics) -> None:
        """Listen; port 0 takes any free one.

        Raises:
            ConfigurationError: The port cannot be had.
        """
        try:
            self._server = _Server(("", port), partial(_Handler, health, metrics))
        except OSError as error:
            raise ConfigurationError(
                f"PERDURE_PROBE_PORT is {port}, which cannot be listened on: {error.strerror}"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="perdure-probes", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    """Answers GET; anything else gets the standard 501."""

    timeout = 5  # seconds for a client to say what it wants
    server_version = "perdure"
    sys_version = ""

    def __init__(self, health: Health, metrics: Metrics, *args: Any) -> None:
        self._health = health
        self._metrics = metrics
        super().__init__(*args)  # answers, and returns when all is answered

    def do_GET(self) -> None:
        """Answer one request."""
        match self.path.partition("?")[0]:
            case "/livez":
                self._answer_probe(self._health.dead())
            case "/readyz":
                reason = self._health.unready()
                self._metrics.set("perdure_ready", 0 if reason else 1)
                self._answer_probe(reason)
            case "/metrics":
                ready = self._health.unready() is None
                self._metrics.set("perdure_ready", 1 if ready else 0)
                self._answer(
                    HTTPStatus.OK,
                    "text/plain; version=0.0.4; charset=utf-8",
                    self._metrics.exposition(),
                )
            case _:
                self._answer(
                    HTTPStatus.NOT_FOUND,
                    "text/plain; charset=utf-8",
                    b"There is /livez, /readyz and /metrics.\n",
                )

    def _answer_probe(self, reason: str | None) -> None:
        status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"ok": reason is None} | ({} if reason is None else {"reason": reason})
        self._answer(status, "application/json", json.dumps(body).encode() + b"\n")

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: probes come every few seconds."""
