"""Settings of processes, read from the environment.

`from_env` is pure: it takes a mapping and returns a frozen value, or raises an error that names
the variable, what was found, and what was expected. Unset and empty mean the default.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from perdure.dispatch import ActivitySettings, TurnSettings
from perdure.errors import ConfigurationError
from perdure.model.ids import TAG_BYTES_MAX, UNTAGGED, fault_of, short
from perdure.model.strictness import OnNondeterminism, Strictness, TripwirePolicy

__all__ = ["ExecutorSettings", "OnLoadError", "ProcessSettings", "ReplayerSettings"]

_LEVELS = ("debug", "info", "warning", "error")
_STYLES = ("json", "text")
_REPLAYER_DRAIN = timedelta(seconds=30)
_TRUE = ("true", "1", "yes", "on")
_FALSE = ("false", "0", "no", "off")


class OnLoadError(StrEnum):
    """What a process does when the user's code cannot be loaded."""

    EXIT = "exit"
    """End with code 2 and the reason: right in a terminal."""
    WAIT = "wait"
    """Stay, never ready, with the reason at `/readyz`: right in a pod, where ending means to be
    started again and again, with the reason scrolled out of sight."""


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """What every process is told."""

    database_url: str = field(repr=False)
    """Never shown: it holds a password."""
    schema: str = "perdure"
    app: str = ""
    """`MODULE` or `MODULE:NAME`: the user's code."""
    name: str = ""
    """What the process is known by: the pod's name."""
    build: str = ""
    """Which build of the user's code this is."""
    probe_port: int | None = 8080
    """Where `/livez`, `/readyz` and `/metrics` are served; None: nowhere."""
    needs_probes: bool = True
    """Whether it is an error if that port is taken. Not where nobody named one: a replayer and an
    executor started side by side in two terminals do without."""
    log_level: str = "info"
    log_style: str = "json"
    on_load_error: OnLoadError = OnLoadError.EXIT

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ProcessSettings:
        """Read what every process is told.

        Raises:
            ConfigurationError: A variable is missing or cannot be what it is; it is named.
        """
        in_pod = "KUBERNETES_SERVICE_HOST" in env
        return cls(
            database_url=_database_url(env),
            schema=env.get("PERDURE_SCHEMA") or "perdure",
            app=env.get("PERDURE_APP", ""),
            name=env.get("PERDURE_EXECUTOR_NAME") or env.get("HOSTNAME") or platform.node(),
            build=env.get("PERDURE_BUILD", ""),
            probe_port=_number(env, "PERDURE_PROBE_PORT", 8080, least=0, most=65535) or None,
            needs_probes=bool(env.get("PERDURE_PROBE_PORT")),
            log_level=_choice(env, "PERDURE_LOG_LEVEL", "info", _LEVELS),
            log_style=_choice(env, "PERDURE_LOG_FORMAT", "json" if in_pod else "text", _STYLES),
            on_load_error=OnLoadError(
                _choice(
                    env,
                    "PERDURE_ON_LOAD_ERROR",
                    OnLoadError.WAIT if in_pod else OnLoadError.EXIT,
                    tuple(OnLoadError),
                )
            ),
        )


@dataclass(frozen=True, slots=True)
class ReplayerSettings:
    """Settings of a replayer."""

    process: ProcessSettings
    turns: TurnSettings = field(default_factory=TurnSettings)
    drain: timedelta = _REPLAYER_DRAIN
    """The longest time that committing what ran may take after a request to stop."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ReplayerSettings:
        """Read a replayer's settings; raises `ConfigurationError`."""
        default = TurnSettings()
        turns = TurnSettings(
            lease=_seconds(env, "PERDURE_LEASE_SECONDS", default.lease, least=1.0),
            executions_cached_max=_number(
                env, "PERDURE_EXECUTIONS_CACHED", default.executions_cached_max, least=0
            ),
            history_records_max=_number(
                env, "PERDURE_HISTORY_LIMIT", default.history_records_max, least=100
            ),
            strictness=_strictness(env, default.strictness),
        )
        return cls(
            process=ProcessSettings.from_env(env),
            turns=turns,
            drain=_seconds(env, "PERDURE_DRAIN_SECONDS", _REPLAYER_DRAIN),
        )


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """Settings of an executor of activities."""

    process: ProcessSettings
    activities: ActivitySettings = field(default_factory=ActivitySettings)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ExecutorSettings:
        """Read an executor's settings; raises `ConfigurationError`.

        Without any tag it takes untagged activities; with tags only if `PERDURE_UNTAGGED` says so.
        """
        default = ActivitySettings()
        lease = _seconds(env, "PERDURE_LEASE_SECONDS", default.lease, least=1.0)
        sessions_lease = _seconds(
            env, "PERDURE_SESSIONS_LEASE_SECONDS", default.sessions_lease, least=1.0
        )
        # Who asks for a long lease alone need not know that sessions have to last longer.
        idle = max(default.sessions_idle, 2 * lease, 2 * sessions_lease)
        activities = ActivitySettings(
            tags=_tags(env),
            slots=_number(env, "PERDURE_SLOTS", default.slots, least=1, most=10_000),
            lease=lease,
            drain=_seconds(env, "PERDURE_DRAIN_SECONDS", default.drain),
            cancel_grace=_seconds(env, "PERDURE_CANCEL_GRACE_SECONDS", default.cancel_grace),
            sessions_max=_number(
                env, "PERDURE_SESSIONS_LIMIT", default.sessions_max, least=0, most=100_000
            ),
            sessions_lease=sessions_lease,
            sessions_idle=_seconds(env, "PERDURE_SESSIONS_IDLE_SECONDS", idle, least=1.0),
        )
        return cls(process=ProcessSettings.from_env(env), activities=activities)


def _strictness(env: Mapping[str, str], default: Strictness) -> Strictness:
    tripwire = _choice(env, "PERDURE_TRIPWIRE", default.tripwire, tuple(TripwirePolicy))
    on_nondeterminism = _choice(
        env, "PERDURE_ON_NONDETERMINISM", default.on_nondeterminism, tuple(OnNondeterminism)
    )
    return Strictness(TripwirePolicy(tripwire), OnNondeterminism(on_nondeterminism))


def _database_url(env: Mapping[str, str]) -> str:
    url = env.get("PERDURE_DATABASE_URL", "").strip()
    if url:
        return url
    path = env.get("PERDURE_DATABASE_URL_FILE", "")
    if not path:
        raise ConfigurationError(
            "No database is named: set PERDURE_DATABASE_URL to "
            "postgresql://user:password@host:port/database, or PERDURE_DATABASE_URL_FILE to a "
            "file that holds it"
        )
    try:
        url = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"PERDURE_DATABASE_URL_FILE names {path}, which cannot be read: {error}"
        ) from error
    if not url:
        raise ConfigurationError(
            f"PERDURE_DATABASE_URL_FILE names {path}, which is empty; it must hold the URL"
        )
    return url


def _tags(env: Mapping[str, str]) -> tuple[str, ...]:
    text = env.get("PERDURE_TAGS", "")
    tags = [tag.strip() for tag in text.split(",") if tag.strip()]
    for tag in tags:
        if fault := fault_of(tag, TAG_BYTES_MAX):
            raise ConfigurationError(
                f"PERDURE_TAGS has the tag {short(tag)}, which cannot be: it {fault}"
            )
    if _flag(env, "PERDURE_UNTAGGED", default=not tags):
        tags.append(UNTAGGED)
    if not tags:
        raise ConfigurationError(
            "PERDURE_TAGS is empty and PERDURE_UNTAGGED is false: this executor would take no "
            "activity; name a tag or set PERDURE_UNTAGGED=true"
        )
    return tuple(dict.fromkeys(tags))


def _choice(env: Mapping[str, str], variable: str, default: str, allowed: tuple[str, ...]) -> str:
    found = env.get(variable, "").strip().lower()
    if not found:
        return default
    if found not in allowed:
        raise ConfigurationError(f"{variable} is {found!r}; expected {' or '.join(allowed)}")
    return found


def _flag(env: Mapping[str, str], variable: str, *, default: bool) -> bool:
    found = _choice(env, variable, "true" if default else "false", (*_TRUE, *_FALSE))
    return found in _TRUE


def _number(
    env: Mapping[str, str], variable: str, default: int, *, least: int, most: int | None = None
) -> int:
    return _parsed(env, variable, default, parse=int, least=least, most=most, what="a whole number")


def _seconds(
    env: Mapping[str, str], variable: str, default: timedelta, *, least: float = 0.0
) -> timedelta:
    seconds = _parsed(
        env,
        variable,
        default.total_seconds(),
        parse=float,
        least=least,
        most=86_400.0,
        what="a number of seconds",
    )
    return timedelta(seconds=seconds)


def _parsed[N: (int, float)](
    env: Mapping[str, str],
    variable: str,
    default: N,
    *,
    parse: Callable[[str], N],
    least: N,
    most: N | None,
    what: str,
) -> N:
    found = env.get(variable, "").strip()
    if not found:
        return default
    try:
        value = parse(found)
    except ValueError:
        raise ConfigurationError(f"{variable} is {found!r}; expected {what}") from None
    if not (value >= least and (most is None or value <= most)):
        limits = f"from {least:g}" + (f" to {most:g}" if most is not None else "")
        raise ConfigurationError(f"{variable} is {found}; expected {what} {limits}")
    return value
