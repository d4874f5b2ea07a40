"""/livez, /readyz and /metrics of the controller.

Alive: the loop turns, and nothing that waits to be looked at has waited for minutes. Ready: it
could do its work now, or stands by for whoever does. A database that is away does not make it
unready: it still cares for pools, and says on every object what is wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from perdure_operator.metrics import Metrics

__all__ = ["Health", "serve"]

_log = logging.getLogger("perdure.operator.probes")

_QUEUE_SECONDS_MAX = 300.0


@dataclass(slots=True)
class Health:
    """What the probes look at; the parts fill it in."""

    state: str = "starting"
    """What the process is doing, in a word or two."""
    is_ready: bool = False
    queue_seconds: Callable[[], float] = lambda: 0.0
    refresh: Callable[[], None] = lambda: None
    """Brings the gauges up to date before they are read."""

    @property
    def fault(self) -> str | None:
        """Why the process should be restarted, if it should."""
        age = self.queue_seconds()
        if age > _QUEUE_SECONDS_MAX:
            return f"an object has waited for {age:.0f} s to be looked at"
        return None


async def serve(health: Health, metrics: Metrics, port: int) -> web.AppRunner:
    """Serve the probes until the runner is cleaned up."""

    async def livez(_: web.Request) -> web.Response:
        fault = health.fault
        return web.Response(text=fault or "alive", status=503 if fault else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text=health.state, status=200 if health.is_ready else 503)

    async def show(_: web.Request) -> web.Response:
        health.refresh()
        return web.Response(body=metrics.text(), headers={"Content-Type": "text/plain"})

    app = web.Application()
    app.add_routes(
        [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", show)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    _log.info("probes on port %s", port)
    return runner
