from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from perdure.cli.loading import load_app
from perdure.cli.main import main
from perdure.executor import LocalRuntime
from perdure.model.ids import ExecutorId
from perdure.providers.postgres import PostgresProvider
from perdure.providers.postgres.migrate import migrate
from perdure.providers.reading import ExecutorInfo, Role
from perdure.providers.work import CodeId

SHOP = """
import asyncio

from perdure import OrchestrationContext, activity, orchestration


@activity
async def add(first: int, second: int) -> int:
    return first + second


@activity
async def refuse(what: str) -> str:
    raise ValueError(f"no {what} today")


@orchestration
async def greet(ctx: OrchestrationContext, name: str, times: int = 1) -> str:
    return " ".join([f"Hello, {name}!"] * await add(times, 0))


@orchestration
async def fail(ctx: OrchestrationContext, what: str = "bread") -> str:
    return await refuse(what)


@orchestration
async def wait(ctx: OrchestrationContext) -> dict[str, object]:
    ctx.set_custom_status("waiting for a word")
    return await ctx.wait_event("word", dict[str, object])


@orchestration
async def parent(ctx: OrchestrationContext) -> str:
    both = asyncio.gather(greet("Ada"), greet("Bob"))
    await asyncio.sleep(0.01)
    return ", ".join(await both)
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


type Cli = Callable[..., Awaitable[Ended]]


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PERDURE_DATABASE_URL", "PERDURE_DATABASE_URL_FILE", "PERDURE_SCHEMA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command in this process; in a thread, for it has an event loop of its own."""

    async def run(*words: str) -> Ended:
        code = await asyncio.to_thread(main, list(words))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module to run, as the current folder."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
async def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the schema, named in the environment."""
    await migrate(database_url)
    monkeypatch.setenv("PERDURE_DATABASE_URL", database_url)
    return database_url


@pytest.fixture
async def served(database: str, shop: Path) -> AsyncIterator[str]:
    """A database whose instances of shop.py are run."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(PostgresProvider(database))
        app = load_app(str(shop / "shop.py"))
        await stack.enter_async_context(LocalRuntime(provider, app.registry))
        code = tuple(CodeId(name, version) for name, version in app.registry.code())
        await provider.announce(ExecutorInfo(ExecutorId(1), Role.REPLAY, "here", "", code=code))
        yield database


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of SQLite, named in the environment; nobody runs what is in it."""
    url = f"sqlite:///{tmp_path}/perdure.db"
    monkeypatch.setenv("PERDURE_DATABASE_URL", url)
    return url
