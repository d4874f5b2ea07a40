"""Prove that a release works, by one small run: `python -m perdure_operator.ping`."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys

from perdure.errors import ConfigurationError
from perdure_operator.api.v1alpha1 import API_VERSION, ORCHESTRATION
from perdure_operator.cluster import Cluster, ClusterError
from perdure_operator.objects import Object, field_of

__all__ = ["ping"]

_SECONDS_MAX = 180.0
_ENDED = {"Completed", "Failed", "Cancelled", "Terminated", "TimedOut"}


async def ping(cluster: Cluster, namespace: str) -> Object:
    """Run `perdure.ping` and return the status that it ended with.

    Raises:
        TimeoutError: It did not end within three minutes; the status it had was printed.
    """
    name = f"perdure-ping-{secrets.token_hex(4)}"
    body: Object = {
        "apiVersion": API_VERSION,
        "kind": ORCHESTRATION.name,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "run": {"orchestration": "perdure.ping", "input": {"greeting": "hello"}},
            "deletionPolicy": "Terminate",
        },
    }
    await cluster.create(ORCHESTRATION.path(namespace), body)
    path, said = ORCHESTRATION.path(namespace, name), ""
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            while True:
                status = field_of(await cluster.get(path), "status")
                if isinstance(status, dict) and "phase" in status:
                    now = (
                        f"{status.get('phase')} {status.get('reason')} {status.get('message', '')}"
                    )
                    if now != said:
                        sys.stdout.write(f"{name}: {now}\n")
                        said = now
                    if status.get("phase") in _ENDED:
                        return status
                await asyncio.sleep(0.3)
    finally:
        await cluster.delete(path)


async def _main(namespace: str) -> int:
    async with Cluster() as cluster:
        status = await ping(cluster, namespace)
    sys.stdout.write(json.dumps(field_of(status, "result", "inline")) + "\n")
    return 0 if status.get("phase") == "Completed" else 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main(os.environ.get("PERDURE_NAMESPACE", "default"))))
    except TimeoutError:
        sys.exit(f"not completed within {_SECONDS_MAX:g} s")
    except (ClusterError, ConfigurationError) as error:
        sys.exit(str(error))
