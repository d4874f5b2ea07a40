"""kopf, as far as we use it: it watches, and tells of every change in one line.

Its own ways of handling, with progress in annotations and finalizers of its own, would write to
every object and copy each manifest; so only `on.event` is used, which writes nothing, and its
handlers do nothing but put a key into the queue. What is decided is decided elsewhere, from what is
then read; an event that is missed is made up for by the resync.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import kopf

from perdure.errors import PerdureError
from perdure_operator.api.v1alpha1 import EXECUTOR_POOL, GROUP, KINDS, REPLAY_POOL, VERSION, Kind
from perdure_operator.index import Key
from perdure_operator.render import MANAGED_BY, MANAGER, POOL_KIND, POOL_NAME

__all__ = ["WatchEndedError", "watch"]

type Hear = Callable[[Key], None]

_POOLS = {EXECUTOR_POOL.name: EXECUTOR_POOL, REPLAY_POOL.name: REPLAY_POOL}


class WatchEndedError(PerdureError):
    """Nothing is heard from the API server any more."""


async def watch(
    namespaces: Sequence[str], hear: Hear, *, on_ready: Callable[[], None] = lambda: None
) -> None:
    """Watch until cancelled; every change of an object or of a pool's Deployment is heard.

    kopf takes the signals of the process for itself; `on_ready` is called once it has, so that
    whoever cares can have them back.

    Raises:
        WatchEndedError: kopf gave up, as it does on errors that do not pass; this process must end.
    """
    logging.getLogger("kopf").setLevel(logging.WARNING)
    ready = asyncio.Event()

    async def tell() -> None:
        await ready.wait()
        on_ready()

    telling = asyncio.create_task(tell(), name="kopf is ready")
    try:
        await kopf.operator(
            registry=_registry(hear),
            settings=_settings(),
            # Else kopf asks for the user's name, and a number in a container has none.
            identity=cast("Any", socket.gethostname()),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            ready_flag=ready,
        )
    except Exception as error:
        raise WatchEndedError(f"cannot watch the API server: {error}") from error
    finally:
        telling.cancel()
    raise WatchEndedError("the watch of the API server ended")


def _registry(hear: Hear) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    for kind in KINDS:
        kopf.on.event(GROUP, VERSION, kind.plural, id=kind.singular, registry=registry)(
            _teller(kind, hear)
        )

    def deployment(*, meta: Any, labels: Any, **_: Any) -> None:
        owner = _POOLS.get(labels.get(POOL_KIND))
        if owner is not None:
            hear(Key(owner.name, str(meta["namespace"]), str(labels.get(POOL_NAME))))

    kopf.on.event(
        "apps",
        "v1",
        "deployments",
        id="deployment",
        labels={MANAGED_BY: MANAGER},
        registry=registry,
    )(_asynchronous(deployment))
    kopf.on.login(id="login", registry=registry)(_login)
    return registry


def _teller(kind: Kind, hear: Hear) -> Any:
    def tell(*, meta: Any, **_: Any) -> None:
        hear(Key(kind.name, str(meta["namespace"]), str(meta["name"])))

    return _asynchronous(tell)


def _asynchronous(function: Callable[..., None]) -> Any:
    """Make it a coroutine: kopf runs plain functions in threads, and the queue is of one loop."""

    async def handler(**kwargs: Any) -> None:
        function(**kwargs)

    return handler


async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """Use the pod's service account, else the kubeconfig."""
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.persistence.finalizer = f"{GROUP}/kopf-unused"
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.diffbase_storage = _NoDiffBase()
    # A spread, so that the streams of several controllers do not end together.
    settings.watching.server_timeout = random.randint(240, 300)  # noqa: S311  a spread, no secret
    settings.watching.client_timeout = settings.watching.server_timeout + 30
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = _Backoffs()
    settings.queueing.worker_limit = 128
    settings.queueing.error_delays = (1, 2, 5, 10, 30, 60)
    settings.execution.default_backoff = 15
    settings.process.ultimate_exiting_timeout = 15
    return settings


class _Backoffs:
    """About a minute in all, never twice the same."""

    def __iter__(self) -> Iterator[float]:
        for seconds in (0.5, 1, 2, 4, 8, 15, 30):
            yield seconds * random.uniform(0.7, 1.3)  # noqa: S311  a spread, no secret


class _NoProgress(kopf.ProgressStorage):
    """Keeps nothing: no handler of ours needs it, and no annotation may appear."""

    def fetch(self, *, key: Any, body: Any) -> None:  # noqa: ARG002  the names are kopf's
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        """Do nothing."""

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        pass

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDiffBase(kopf.DiffBaseStorage):
    """Likewise."""

    def fetch(self, *, body: Any) -> None:  # noqa: ARG002  the name is kopf's
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        pass
