"""Settings of the controller: one frozen value, read from the environment once."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from perdure.errors import ConfigurationError

_SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set; every field is a `PERDURE_*` variable of the same name."""

    database_url: str = field(repr=False)
    """Address of the database. `PERDURE_DATABASE_URL_FILE` names a file that holds it."""
    schema: str = "perdure"
    """Schema of the database."""
    namespace: str = "default"
    """Namespace of the controller itself: where its Lease and its memory of deferred ends are."""
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty: all."""
    lease_name: str = "perdure-operator"
    """Lease that the leader holds."""
    identity: str = field(default_factory=socket.gethostname)
    """Name under which it is held: the pod's."""
    executor_image: str = "perdure/executor:dev"
    """Image of pools that name none."""
    image_pull_policy: str = "IfNotPresent"
    """For pools that name none."""
    database_secret: str = "perdure-database"  # noqa: S105  the name of a Secret, not its content
    """Secret with the address of the database, for pools that name none."""
    database_secret_key: str = "uri"  # noqa: S105  likewise
    """Key in it."""
    default_pools: str = ""
    """ConfigMap, in the controller's namespace, that lists pools to make."""
    probe_port: int = 8080
    """Port of /livez, /readyz and /metrics."""
    log_level: str = "INFO"
    """As of the standard library's logging."""
    log_format: str = "json"
    """`json` or `text`."""
    concurrency: int = 8
    """Objects that are reconciled at the same time."""
    status_writes_per_second: float = 20.0
    """Status writes, all objects together; half as much again is kept for runs that end."""
    status_writes_burst: int = 50
    """Status writes that may come at once."""
    progress_seconds: float = 15.0
    """Shortest time between two writes that tell of progress alone, for one object."""
    blocked_seconds: float = 120.0
    """How long a run is blocked before it counts as stalled."""
    resync_seconds: float = 600.0
    """How often everything is looked at, whatever was heard."""
    census_seconds: float = 5.0
    """How often executors and backlog are counted."""

    @property
    def progress(self) -> timedelta:
        """`progress_seconds` as a duration."""
        return timedelta(seconds=self.progress_seconds)

    @property
    def blocked(self) -> timedelta:
        """`blocked_seconds` as a duration."""
        return timedelta(seconds=self.blocked_seconds)


def from_env(env: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: One is missing or cannot be read; the message names it.
    """
    values: dict[str, object] = {"database_url": _database_url(env), "namespace": _namespace(env)}
    for name, default in _OPTIONAL.items():
        variable = f"PERDURE_{name.upper()}"
        if text := env.get(variable, "").strip():
            values[name] = _read(variable, text, default)
    return Settings(**values)  # type: ignore[arg-type]  # each was read as its default's type


_OPTIONAL: Mapping[str, object] = {
    "schema": "",
    "watch_namespaces": (),
    "lease_name": "",
    "identity": "",
    "executor_image": "",
    "image_pull_policy": "",
    "database_secret": "",
    "database_secret_key": "",
    "default_pools": "",
    "probe_port": 0,
    "log_level": "",
    "log_format": "",
    "concurrency": 0,
    "status_writes_per_second": 0.0,
    "status_writes_burst": 0,
    "progress_seconds": 0.0,
    "blocked_seconds": 0.0,
    "resync_seconds": 0.0,
    "census_seconds": 0.0,
}


def _read(variable: str, text: str, like: object) -> object:
    match like:
        case tuple():
            return tuple(part.strip() for part in text.split(",") if part.strip())
        case int() | float():
            try:
                number = type(like)(text)
            except ValueError:
                number = type(like)(0)
            if number <= 0:
                raise ConfigurationError(f"{variable} is {text!r}; it must be a number above 0")
            return number
        case _:
            return text


def _database_url(env: Mapping[str, str]) -> str:
    if url := env.get("PERDURE_DATABASE_URL", "").strip():
        return url
    path = env.get("PERDURE_DATABASE_URL_FILE", "").strip()
    if not path:
        raise ConfigurationError(
            "PERDURE_DATABASE_URL is not set, nor PERDURE_DATABASE_URL_FILE: set one of them to "
            "the address of the database, postgresql://user:password@host:5432/name"
        )
    try:
        url = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"PERDURE_DATABASE_URL_FILE is {path!r}, which cannot be read: {error.strerror}"
        ) from error
    if not url:
        raise ConfigurationError(f"PERDURE_DATABASE_URL_FILE is {path!r}, which is empty")
    return url


def _namespace(env: Mapping[str, str]) -> str:
    if name := env.get("PERDURE_NAMESPACE", "").strip():
        return name
    try:
        return _SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"
