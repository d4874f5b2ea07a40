"""The controller as a process: settings, probes, the Lease, work, and a quiet end.

Ends with 0 when asked to stop, with 1 when it lost the Lease or cannot go on (it is then started
again, and waits its turn), with 2 when its settings are wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable

from perdure.errors import ConfigurationError, PerdureError
from perdure.providers.postgres import PostgresProvider
from perdure.telemetry import configure_logging
from perdure_operator.cluster import Cluster
from perdure_operator.controller import Controller, wait_for_kinds
from perdure_operator.database import Database, Store
from perdure_operator.handlers import watch
from perdure_operator.leader import Leadership, LeadershipLost, lead
from perdure_operator.metrics import Metrics
from perdure_operator.probes import Health, serve
from perdure_operator.settings import Settings, from_env

__all__ = ["main", "operate"]

_log = logging.getLogger("perdure.operator")


def main() -> int:
    """Run the controller; returns the exit status."""
    try:
        settings = from_env(os.environ)
        configure_logging(
            level=settings.log_level, style=settings.log_format, executor=settings.identity
        )
    except (ConfigurationError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        return asyncio.run(_run(settings))
    except ConfigurationError as error:
        _log.error("%s", error)
        return 2


async def _run(settings: Settings) -> int:
    """Operate until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()

    def take_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)

    work = asyncio.create_task(operate(settings, take_signals))
    take_signals()
    try:
        await work
    except asyncio.CancelledError:
        _log.info("stopped")
        return 0
    except LeadershipLost as lost:
        _log.error("%s; ending", lost)
        return 1
    except PerdureError as error:
        if isinstance(error, ConfigurationError):
            raise
        _log.error("%s; ending", error)
        return 1
    return 1


async def operate(settings: Settings, on_watching: Callable[[], None] = lambda: None) -> None:
    """Serve probes, wait for the kinds and the Lease, and control while it is held.

    `on_watching` is called when kopf runs, which takes the signals of the process for itself.
    """
    metrics = Metrics()
    health = Health()

    def connect() -> Store:
        return PostgresProvider(
            settings.database_url,
            schema=settings.schema,
            application_name=f"perdure-operator {settings.identity}",
        )

    async with contextlib.AsyncExitStack() as stack:
        probes = await serve(health, metrics, settings.probe_port)
        stack.push_async_callback(probes.cleanup)
        cluster = await stack.enter_async_context(Cluster())

        def say(state: str) -> None:
            health.state = state

        watching = functools.partial(watch, on_ready=on_watching)
        await wait_for_kinds(cluster, say)
        controller = Controller(cluster, Database(connect), settings, metrics, watching)
        health.queue_seconds = controller.queue.oldest_seconds
        health.refresh = controller.refresh
        health.state, health.is_ready = "standing by", True
        leadership = Leadership(cluster, settings.namespace, settings.lease_name, settings.identity)
        await lead(leadership, _leading(controller, health, metrics))


def _leading(
    controller: Controller, health: Health, metrics: Metrics
) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        health.state = "leading"
        metrics.is_leader.set(1)
        await controller.run()

    return work


if __name__ == "__main__":
    sys.exit(main())
