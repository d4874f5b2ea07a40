"""See: read what a plan needs to know, from the API server and the database, into frozen values."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import aiohttp

from perdure.errors import ProviderError
from perdure.model.ids import InstanceId, JsonText
from perdure.providers.reading import InstanceStatus
from perdure_operator.api.v1alpha1 import (
    ExecutorPoolResource,
    OrchestrationResource,
    ReplayPoolResource,
)
from perdure_operator.cluster import ClusterError
from perdure_operator.objects import Object, entries_of, field_of
from perdure_operator.observed import (
    DatabaseDown,
    InputFault,
    InputMissing,
    InputText,
    ObservedOrchestration,
    ObservedPool,
    PodTrouble,
)
from perdure_operator.plan.identity import instance_of
from perdure_operator.plan.orchestration import has_live_record, is_settled
from perdure_operator.plan.situation import recorded
from perdure_operator.render import deployment_path, selector_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from perdure.providers.reading import OpenActivity
    from perdure.providers.work import EnqueueOutcome
    from perdure_operator.api.orchestration import InputSource
    from perdure_operator.cluster import Cluster
    from perdure_operator.database import Database
    from perdure_operator.observed import RunInput

__all__ = ["Eyes", "instances_of", "pod_trouble"]

_INLINE_BYTES_MAX = 256 * 1024
_REFERENCED_BYTES_MAX = 1024 * 1024
_CREATING_SECONDS = 20
_STARTING_SECONDS = 30
_PROBE_SECONDS = 2.0
_PROBES_MAX = 3


def instances_of(resource: OrchestrationResource) -> list[InstanceId]:
    """Name the instances that count for an object: of its key, and of a run that goes on."""
    current = instance_of(resource, resource.spec.run.key)
    shown = resource.status.instance_id
    is_deleted = resource.metadata.deletion_timestamp is not None
    if shown is None or shown == current or not (has_live_record(resource) or is_deleted):
        return [current]
    return [current, InstanceId(shown)]


@dataclass(slots=True)
class Eyes:
    """Reads the world."""

    cluster: Cluster
    database: Database

    async def orchestration(
        self, resource: OrchestrationResource, start: EnqueueOutcome | None = None
    ) -> ObservedOrchestration:
        """See an Orchestration and the runs that it speaks of."""
        seen = ObservedOrchestration(resource, start=start)
        if is_settled(resource):
            return seen
        seen = await self._with_instances(replace(seen, fleet=self.database.fleet))
        if seen.database is not None or resource.metadata.deletion_timestamp is not None:
            return seen
        if not recorded(resource):
            seen = replace(seen, input=await self._input(resource))
        return seen

    async def _with_instances(self, seen: ObservedOrchestration) -> ObservedOrchestration:
        if self.database.down is not None:
            return replace(seen, database=self.database.down)
        wanted = instances_of(seen.resource)
        activities: list[OpenActivity] = []
        try:
            found = await self.database.read_instances(wanted)
            current = found[0]
            if current is not None and current.status is InstanceStatus.RUNNING:
                activities = await self.database.read_activities([current.instance])
        except ProviderError as error:
            down = self.database.down or DatabaseDown(datetime.now(UTC), str(error))
            return replace(seen, database=down)
        return replace(
            seen,
            instance=current,
            earlier=found[1] if len(found) > 1 else None,
            activities=tuple(activities),
        )

    async def _input(self, resource: OrchestrationResource) -> RunInput:
        run = resource.spec.run
        if run.input_from is not None:
            return await self._referenced(resource.metadata.namespace, run.input_from)
        text = "{}" if run.input is None else _canonical(run.input)
        size = len(text.encode())
        if size > _INLINE_BYTES_MAX:
            return InputFault(
                f"spec.run.input is {size:,} bytes of JSON, and at most 256 KiB may be inline: put "
                "it into a ConfigMap or Secret and name that in spec.run.inputFrom"
            )
        return InputText(JsonText(text))

    async def _referenced(self, namespace: str, source: InputSource) -> RunInput:
        reference = source.config_map_key_ref or source.secret_key_ref
        if reference is None:
            return InputFault("spec.run.inputFrom names neither a ConfigMap nor a Secret")
        is_secret = source.config_map_key_ref is None
        noun, plural = ("Secret", "secrets") if is_secret else ("ConfigMap", "configmaps")
        path = f"/api/v1/namespaces/{namespace}/{plural}/{reference.name}"
        where = f"{noun} {reference.name!r} in namespace {namespace!r}"
        try:
            found = await self.cluster.find(path)
        except ClusterError as error:
            if not error.is_forbidden:
                raise
            return InputFault(f"the controller may not read {where} (see rbac.secretInputs)")
        if found is None:
            return InputMissing(f"there is no {where}: create it; the run starts by itself then")
        text = field_of(found, "data", reference.key)
        if not isinstance(text, str):
            data = field_of(found, "data")
            keys = sorted(data) if isinstance(data, dict) else []
            return InputMissing(
                f"{where} has no key {reference.key!r}; it has {', '.join(keys) or 'none'}"
            )
        return _checked(_decoded(text) if is_secret else text, f"key {reference.key!r} of {where}")

    async def pool(
        self, pool: ExecutorPoolResource | ReplayPoolResource, refused: str | None = None
    ) -> ObservedPool:
        """See a pool, its Deployment, and what is wrong with its pods if they are not ready."""
        code = await self._code(pool)
        deployment = await self.cluster.find(deployment_path(pool))
        ready = field_of(deployment, "status", "readyReplicas") or 0
        troubles: tuple[PodTrouble, ...] = ()
        if deployment is not None and ready != pool.spec.replicas:
            troubles = await self._troubles(pool)
        return ObservedPool(
            pool,
            code=code,
            deployment=deployment,
            troubles=troubles,
            fleet=self.database.fleet if self.database.down is None else None,
            database=self.database.down,
            refused=refused,
        )

    async def _code(
        self, pool: ExecutorPoolResource | ReplayPoolResource
    ) -> Mapping[str, str] | None:
        if pool.spec.code is None:
            return None
        namespace, name = pool.metadata.namespace, pool.spec.code.config_map
        found = await self.cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
        if found is None:
            return None
        files: dict[str, str] = {}
        for part in ("data", "binaryData"):
            content = field_of(found, part)
            if isinstance(content, dict):
                files |= {str(key): str(text) for key, text in content.items()}
        return files

    async def _troubles(
        self, pool: ExecutorPoolResource | ReplayPoolResource
    ) -> tuple[PodTrouble, ...]:
        selector = ",".join(f"{key}={value}" for key, value in selector_of(pool).items())
        path = f"/api/v1/namespaces/{pool.metadata.namespace}/pods"
        pods = await self.cluster.list_all(path, labelSelector=selector)
        now = datetime.now(UTC)
        troubles = [trouble for pod in pods if (trouble := pod_trouble(pod, now))]
        silent = [pod for pod in pods if _is_silent(pod)][:_PROBES_MAX]
        answers = [await _readiness(pod) for pod in silent]
        return (*troubles, *(answer for answer in answers if answer is not None))


def _canonical(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _checked(text: str, where: str) -> RunInput:
    size = len(text.encode())
    if size > _REFERENCED_BYTES_MAX:
        return InputFault(f"{where} is {size:,} bytes, and at most 1 MiB may be")
    try:
        return InputText(JsonText(_canonical(json.loads(text))))
    except ValueError as error:
        # The text may be secret: say where it breaks, not what it says.
        position = getattr(error, "pos", None)
        at = "" if position is None else f" (at character {position})"
        return InputFault(f"{where} is not JSON{at}: a string needs its double quotes")


def pod_trouble(pod: Object, now: datetime) -> PodTrouble | None:
    """Say why a pod does not get ready, as far as Kubernetes knows; None while it may yet."""
    name = str(field_of(pod, "metadata", "name"))
    if field_of(pod, "metadata", "deletionTimestamp") is not None:
        return None
    for condition in entries_of(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            reason = str(condition.get("reason") or "Unschedulable")
            return PodTrouble(name, reason, str(condition.get("message") or ""))
    for container in entries_of(pod, "status", "containerStatuses"):
        waiting = field_of(container, "state", "waiting")
        if not isinstance(waiting, dict):
            continue
        reason = str(waiting.get("reason") or "Waiting")
        if reason == "ContainerCreating":
            return _still_creating(pod, name, now)
        if reason == "PodInitializing":
            return None
        last = field_of(container, "lastState", "terminated", "message")
        return PodTrouble(name, reason, str(last or waiting.get("message") or "").strip()[-600:])
    return None


def _still_creating(pod: Object, name: str, now: datetime) -> PodTrouble | None:
    """A volume that is not there shows in no status: after a while, guess, and say so."""
    if _age_seconds(pod, now) < _CREATING_SECONDS:
        return None
    secrets = [
        str(field_of(volume, "secret", "secretName"))
        for volume in entries_of(pod, "spec", "volumes")
        if field_of(volume, "secret", "secretName")
    ]
    return PodTrouble(
        name,
        "FailedMount",
        "its container is not created: are all its volumes there? The address of the database is "
        f"expected in Secret {', '.join(secrets)} in namespace "
        f"{field_of(pod, 'metadata', 'namespace')}",
    )


def _age_seconds(pod: Object, now: datetime) -> float:
    started = field_of(pod, "status", "startTime")
    if not isinstance(started, str):
        return 0.0
    return (now - datetime.fromisoformat(started)).total_seconds()


def _is_silent(pod: Object) -> bool:
    """Runs, is not ready, and Kubernetes has nothing to say about it."""
    if field_of(pod, "metadata", "deletionTimestamp") is not None:
        return False
    return any(
        isinstance(field_of(one, "state", "running"), dict) and not one.get("ready")
        for one in entries_of(pod, "status", "containerStatuses")
    )


def _reason_in(body: str) -> str:
    """Find the reason in what /readyz says: a field of JSON, else all of it."""
    try:
        said = cast("JsonValue", json.loads(body))
    except ValueError:
        said = None
    reason = field_of(said, "reason") if isinstance(said, dict) else body
    return str(reason or "").strip()[:2000]


async def _readiness(pod: Object) -> PodTrouble | None:
    """Ask the pod itself why it is not ready: code that does not load is only known to it."""
    name, address = str(field_of(pod, "metadata", "name")), field_of(pod, "status", "podIP")
    if not isinstance(address, str):
        return None
    host = f"[{address}]" if ":" in address else address
    timeout = aiohttp.ClientTimeout(total=_PROBE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"http://{host}:8080/readyz") as answer,
        ):
            text = _reason_in((await answer.text())[:4000])
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
    first = text.partition(":")[0].partition(" ")[0]
    # On an install, pods are there before the schema is.
    is_young = _age_seconds(pod, datetime.now(UTC)) < _STARTING_SECONDS
    if answer.ok or first in {"starting", "draining"} or (first == "storage" and is_young):
        return None
    reason = "DatabaseUnreachable" if first == "storage" else "AppNotLoading"
    return PodTrouble(name, reason, text)
