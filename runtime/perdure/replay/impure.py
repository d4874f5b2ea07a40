"""What an orchestration may not call, and what to write instead: one table for all who look.

The static check (`perdure check`) finds these names in source, the tripwire finds the functions
behind them while a turn runs. Both say the same words, because both read this table.

Names are qualified as Python's documentation has them. A name stands for itself and for what is
under it: `subprocess` for everything in that module, `uuid.uuid4` for the one function. The longest
name that fits decides; `None` lets a name out of what stands for more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "CHANCE",
    "CLOCK",
    "ENVIRONMENT",
    "IDS",
    "IO",
    "SLEEP",
    "THREADS",
    "Impurity",
    "impurity_of",
]


@dataclass(frozen=True, slots=True)
class Impurity:
    """One reason why a call gives another answer on replay."""

    code: str
    """As `perdure check` reports and suppresses it."""
    does: str
    """What such a call does, after its name: `time.time() reads the clock`."""
    remedy: str


CLOCK: Final = Impurity(
    "PD101",
    "reads the clock of this machine, which says something else on replay",
    "use ctx.now(), the recorded time of the turn",
)
CHANCE: Final = Impurity(
    "PD102",
    "rolls dice that fall otherwise on replay",
    "use ctx.random(), which is seeded from the history",
)
IDS: Final = Impurity(
    "PD103",
    "makes an id that is another one on replay",
    "use ctx.uuid4(), which is the same on every replay",
)
ENVIRONMENT: Final = Impurity(
    "PD104",
    "asks the machine or its environment, and replay may happen on another",
    "pass it as an argument, or read it by ctx.step(...) or in an activity",
)
IO: Final = Impurity(
    "PD105",
    "reaches outside the orchestration, where nothing is recorded",
    "make it an activity, and await that",
)
THREADS: Final = Impurity(
    "PD106",
    "leaves the event loop of the orchestration; threads, processes and other loops are not "
    "replayed",
    "make it an activity; to do several things at once use asyncio.gather or a TaskGroup",
)
SLEEP: Final = Impurity(
    "PD112",
    "blocks the turn and everybody else's",
    "use `await asyncio.sleep(...)`, a durable timer",
)

_TABLE: Final[dict[Impurity, str]] = {
    CLOCK: """
        time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter
        time.perf_counter_ns time.process_time time.process_time_ns time.thread_time
        time.thread_time_ns time.clock_gettime time.clock_gettime_ns
        datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today
        datetime.date.today arrow.now arrow.utcnow pendulum.now pendulum.today
        whenever.Instant.now django.utils.timezone.now
    """,
    CHANCE: """
        random secrets os.urandom os.getrandom ssl.RAND_bytes numpy.random faker
    """,
    IDS: """
        uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 uuid.getnode ulid shortuuid
    """,
    ENVIRONMENT: """
        os.environ os.environb os.getenv os.getenvb os.putenv os.unsetenv os.getcwd os.getcwdb
        os.getpid os.getppid os.getuid os.getgid os.getlogin os.uname os.cpu_count
        os.process_cpu_count os.getloadavg os.sched_getaffinity os.get_terminal_size
        platform socket.gethostname socket.getfqdn getpass locale.getlocale
        sys.argv sys.stdin shutil.which shutil.disk_usage
    """,
    IO: """
        builtins.open builtins.input io.open io.open_code codecs.open
        os.open os.read os.write os.listdir os.scandir os.walk os.fwalk os.stat os.lstat
        os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir os.removedirs
        os.link os.symlink os.readlink os.truncate os.chmod os.chown os.utime os.access os.pipe
        os.system os.popen os.execv os.execve os.execl os.execvp os.spawnl os.spawnv
        os.posix_spawn os.posix_spawnp os.fork os.kill os.chdir
        os.path.exists os.path.isfile os.path.isdir os.path.islink os.path.getsize
        os.path.getmtime os.path.realpath os.path.samefile
        pathlib.Path.read_text pathlib.Path.read_bytes pathlib.Path.write_text
        pathlib.Path.write_bytes pathlib.Path.open pathlib.Path.exists pathlib.Path.is_file
        pathlib.Path.is_dir pathlib.Path.stat pathlib.Path.iterdir pathlib.Path.glob
        pathlib.Path.rglob pathlib.Path.walk pathlib.Path.mkdir pathlib.Path.rmdir
        pathlib.Path.unlink pathlib.Path.rename pathlib.Path.replace pathlib.Path.touch
        pathlib.Path.resolve pathlib.Path.cwd pathlib.Path.home
        shutil tempfile glob fileinput linecache mmap
        socket ssl select selectors socketserver http.client http.server urllib.request
        ftplib smtplib imaplib poplib telnetlib xmlrpc webbrowser
        subprocess pty asyncio.open_connection asyncio.open_unix_connection asyncio.start_server
        asyncio.start_unix_server asyncio.create_subprocess_exec asyncio.create_subprocess_shell
        sqlite3 dbm shelve
        requests httpx aiohttp urllib3 websockets grpc aiofiles
        asyncpg psycopg psycopg2 pymysql aiomysql pymongo motor redis elasticsearch
        sqlalchemy.create_engine sqlalchemy.orm sqlalchemy.ext.asyncio
        boto3 botocore aiobotocore google.cloud azure kubernetes kafka aiokafka pika nats
        openai anthropic paramiko asyncssh docker
    """,
    THREADS: """
        threading _thread concurrent.futures multiprocessing
        asyncio.run asyncio.Runner asyncio.to_thread asyncio.new_event_loop
        asyncio.set_event_loop asyncio.run_coroutine_threadsafe
        asyncio.AbstractEventLoop.run_in_executor asyncio.AbstractEventLoop.run_until_complete
        asyncio.AbstractEventLoop.call_soon_threadsafe
        anyio.run anyio.to_thread anyio.from_thread anyio.to_process trio.run
        gevent eventlet signal.signal signal.alarm signal.setitimer sched
    """,
    SLEEP: "time.sleep",
}

_HARMLESS: Final = """
    random.Random threading.local threading.current_thread threading.get_ident
    concurrent.futures.CancelledError concurrent.futures.TimeoutError
    concurrent.futures.FIRST_COMPLETED concurrent.futures.ALL_COMPLETED
    socket.inet_aton socket.inet_ntoa socket.htons socket.ntohs secrets.compare_digest
    subprocess.CalledProcessError subprocess.TimeoutExpired subprocess.list2cmdline
    shutil.Error tempfile.gettempprefix glob.escape glob.has_magic glob.translate
    sqlite3.Error sqlite3.IntegrityError requests.exceptions httpx.HTTPError httpx.HTTPStatusError
    httpx.URL httpx.codes urllib3.exceptions requests.codes ssl.SSLError socket.timeout
    sqlalchemy.orm.Mapped sqlalchemy.orm.mapped_column sqlalchemy.orm.DeclarativeBase
    sqlalchemy.orm.relationship redis.exceptions grpc.StatusCode
    asyncpg.exceptions aiohttp.ClientError random.SystemRandom.seed
"""
"""Types, constants and pure functions of modules that otherwise do harm."""


def _names() -> dict[str, Impurity | None]:
    names: dict[str, Impurity | None] = {
        name: impurity for impurity, listed in _TABLE.items() for name in listed.split()
    }
    names.update(dict.fromkeys(_HARMLESS.split()))
    return names


_NAMES: Final = _names()


def impurity_of(name: str) -> Impurity | None:
    """Say what is wrong with calling `name`, which is qualified; None if nothing is known to be."""
    while name:
        if name in _NAMES:
            return _NAMES[name]
        name = name.rpartition(".")[0]
    return None
