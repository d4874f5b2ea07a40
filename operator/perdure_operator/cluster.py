"""The API server, as far as the operator needs it: plain JSON in and out, errors with a meaning.

The generated client knows a class for every field of every kind; the operator reads a handful of
fields of a handful of kinds. So the client is used for what is hard, credentials and TLS, and the
requests are written here.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any, Self, cast
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from perdure.errors import ConfigurationError
from perdure_operator.objects import Object

__all__ = ["Cluster", "ClusterError"]

_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_TIMEOUT_SECONDS = 20


class ClusterError(Exception):
    """The API server did not do what was asked; `status` is 0 where it did not answer."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        """Name the request."""
        super().__init__(f"{method} {path}: {status or 'no answer'}: {message}")
        self.status = status
        self.message = message

    @property
    def is_missing(self) -> bool:
        """There is no such object."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def is_forbidden(self) -> bool:
        """The controller was not given the right."""
        return self.status == HTTPStatus.FORBIDDEN

    @property
    def is_conflict(self) -> bool:
        """Somebody else was first."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def is_busy(self) -> bool:
        """It asks for fewer requests."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS


class Cluster:
    """One API server. Open it with `async with`."""

    def __init__(self, *, manager: str = "perdure-operator") -> None:
        """`manager` owns the fields that are applied."""
        self._manager = manager
        self._client: Any = None  # the generated client is without types

    async def __aenter__(self) -> Self:
        """Find the credentials: the pod's, else a kubeconfig's.

        Raises:
            ConfigurationError: There are none.
        """
        configuration: Any = Configuration()
        loader: Any = config
        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ:
                loader.load_incluster_config(client_configuration=configuration)
            else:
                await loader.load_kube_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise ConfigurationError(
                f"no credentials for a Kubernetes API server: {error}; run in a pod with a "
                "service account, or set KUBECONFIG"
            ) from error
        self._client = ApiClient(configuration)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def get(self, path: str) -> Object:
        """Read an object or a collection."""
        return await self._request("GET", path)

    async def find(self, path: str) -> Object | None:
        """Read an object; None if there is none."""
        try:
            return await self._request("GET", path)
        except ClusterError as error:
            if error.is_missing:
                return None
            raise

    async def list_all(self, path: str, **query: str) -> list[Object]:
        """Read a whole collection, in pieces."""
        items: list[Object] = []
        query.setdefault("limit", "500")
        while True:
            page = await self._request("GET", f"{path}?{urlencode(query)}")
            items += cast("list[Object]", page.get("items") or [])
            follows = cast("Object", page.get("metadata") or {}).get("continue")
            if not follows:
                return items
            query["continue"] = str(follows)

    async def apply(self, path: str, body: Object, *, force: bool = True) -> Object:
        """Apply on the server's side: what `body` names is ours, the rest is left alone."""
        query = urlencode({"fieldManager": self._manager, "force": str(force).lower()})
        return await self._request("PATCH", f"{path}?{query}", body, content_type=_APPLY)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object."""
        return await self._request("POST", path, body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object; a `resourceVersion` in it makes that conditional."""
        return await self._request("PUT", path, body)

    async def delete(self, path: str) -> None:
        """Delete an object, if it is there."""
        try:
            await self._request("DELETE", path)
        except ClusterError as error:
            if not error.is_missing:
                raise

    async def watch_metadata(
        self, path: str, name: str, *, seconds: int = 240
    ) -> AsyncGenerator[None]:
        """Yield whenever the named object of a collection appears, changes or goes; ends by itself.

        Only its metadata is sent, and nothing of any other object.
        """
        query = urlencode(
            {"watch": "1", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": seconds}
        )
        client = self._ready_client()
        headers = {"Accept": _METADATA_ONLY}
        url = f"{client.configuration.host}{path}?{query}"
        await client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        answer = await client.rest_client.request(
            "GET", url, headers=headers, _request_timeout=aiohttp.ClientTimeout(total=seconds + 30)
        )
        try:
            if not HTTPStatus(answer.status).is_success:
                raise ClusterError("WATCH", path, answer.status, str(answer.reason))
            async for line in answer.response.content:
                if line.strip():
                    yield
        finally:
            answer.response.close()

    async def _request(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = _JSON
    ) -> Object:
        client = self._ready_client()
        headers = {"Accept": _JSON, "Content-Type": content_type}
        await client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        try:
            answer = await client.rest_client.request(
                method,
                client.configuration.host + path,
                headers=headers,
                body=body,
                _request_timeout=_TIMEOUT_SECONDS,
            )
            text = await answer.read()
        except (aiohttp.ClientError, OSError) as error:
            message = str(error) or type(error).__name__
            raise ClusterError(method, path, 0, message) from error
        parsed = _parsed(text)
        if not HTTPStatus(answer.status).is_success:
            message = str(parsed.get("message") or answer.reason)
            raise ClusterError(method, path, answer.status, message)
        return parsed

    def _ready_client(self) -> Any:
        if self._client is None:
            raise ConfigurationError("the cluster is not open: use `async with Cluster()`")
        return self._client


def _parsed(text: bytes) -> Object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return {"message": text[:500].decode(errors="replace")}
    return cast("Object", value) if isinstance(value, dict) else {}
