"""In scope: calls that a replay cannot repeat are caught where they are made, and no others are."""

# ruff: noqa: ARG001, ARG002, DTZ005, DTZ011, ICN001, PLW0108, PTH110, PTH118, PTH123  all on purpose

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
import secrets
import socket
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial, wraps
from pathlib import Path
from random import choice as pick
from time import time as clock
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, field_validator

from perdure import OrchestrationContext, Registry, activity, orchestration
from perdure.errors import ForbiddenCallError
from perdure.model.ids import JsonText
from perdure.model.records import Outcome
from perdure.model.strictness import Strictness, TripwirePolicy
from perdure.testing.scripted import ScriptedHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ERROR = Strictness(tripwire=TripwirePolicy.ERROR)
WARN = Strictness(tripwire=TripwirePolicy.WARN)
OFF = Strictness(tripwire=TripwirePolicy.OFF)
HERE = Path(__file__)


@activity
def work(item: str) -> str:
    return f"{item}-{time.time()}"


def run_body(body: Callable[[], object], strictness: Strictness = ERROR) -> ScriptedHistory:
    """Run `body` in a turn."""

    @orchestration
    async def order(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(0)
        body()

    history = ScriptedHistory(Registry(order, work), order, strictness=strictness)
    history.turn()
    return history


@dataclass
class Order:
    id: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass
class Stamped:
    at: float = field(default_factory=time.time)


class Basket(BaseModel):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)


class Dated(datetime.datetime):
    pass


class Shop:
    @property
    def opened(self) -> float:
        return time.time()

    @cached_property
    def dice(self) -> float:
        return random.random()

    @staticmethod
    def name() -> str | None:
        return os.getenv("SHOP")

    @classmethod
    def token(cls) -> str:
        return secrets.token_hex()


class Checked(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def check(cls, value: str) -> str:
        return value + str(time.time())


@lru_cache
def remembered(_salt: int) -> float:
    return time.time()


def logged(function: Callable[[], float]) -> Callable[[], float]:
    @wraps(function)
    def around() -> float:
        return function()

    return around


@logged
def decorated() -> float:
    return time.monotonic()


def key(item: int) -> float:
    return random.random() * item


def deep() -> object:
    def inner() -> Iterator[float]:
        yield clock()

    return list(inner())


CLOCK = "reads the clock"
DICE = "rolls dice"
ID = "makes an id"
MACHINE = "asks the machine or its environment"
OUTSIDE = "reaches outside the orchestration"
THREAD = "leaves the event loop"
BLOCKS = "blocks the turn"


type Caught = tuple[Callable[[], object], str, str]

CAUGHT: list[Caught] = [
    (lambda: time.time(), "time.time()", CLOCK),
    (lambda: clock(), "time.time()", CLOCK),
    (lambda: time.perf_counter_ns(), "time.perf_counter_ns()", CLOCK),
    (lambda: datetime.datetime.now(datetime.UTC), "datetime.datetime.now()", CLOCK),
    (lambda: Dated.today(), "today()", CLOCK),
    (lambda: datetime.date.today(), "datetime.date.today()", CLOCK),
    (lambda: partial(time.time)(), "time.time()", CLOCK),
    (lambda: random.random(), "random.random()", DICE),
    (lambda: random.randint(1, 6), "random.randint()", DICE),
    (lambda: pick([1, 2]), "random.choice()", DICE),
    (lambda: random.Random(), "random.Random()", DICE),
    (lambda: random.SystemRandom().random(), "random.SystemRandom()", DICE),
    (lambda: os.urandom(2), "os.urandom()", DICE),
    (lambda: secrets.token_bytes(), "secrets.token_bytes()", DICE),
    (lambda: uuid.uuid4(), "uuid.uuid4()", ID),
    (lambda: uuid.uuid1(), "uuid.uuid1()", ID),
    (lambda: os.environ["PATH"], "os.environ", MACHINE),
    (lambda: os.environ.get("PATH"), "os.environ", MACHINE),
    (lambda: "PATH" in os.environ, "os.environ", MACHINE),
    (lambda: dict(os.environ), "os.environ", MACHINE),
    (lambda: os.getenv("PATH"), "os.getenv()", MACHINE),
    (lambda: os.cpu_count(), "os.cpu_count()", MACHINE),
    (lambda: open(HERE).close(), "open()", OUTSIDE),
    (lambda: HERE.read_text(), "pathlib.Path.read_text()", OUTSIDE),
    (lambda: HERE.exists(), "pathlib.Path.exists()", OUTSIDE),
    (lambda: os.path.exists(HERE), "os.path.exists()", OUTSIDE),
    (lambda: list(os.scandir("/")), "os.scandir()", OUTSIDE),
    (lambda: socket.socket(), "socket.socket()", OUTSIDE),
    (lambda: subprocess.run(["/bin/true"], check=False), "subprocess.run()", OUTSIDE),
    (lambda: threading.Thread(target=print).start(), "threading.Thread.start()", THREAD),
    (lambda: time.sleep(0), "time.sleep()", BLOCKS),
    (lambda: Order(), "uuid.uuid4()", ID),
    (lambda: Basket(), "uuid.uuid4()", ID),
    (lambda: Stamped(), "time.time()", CLOCK),
    (lambda: Shop().opened, "time.time()", CLOCK),
    (lambda: Shop().dice, "random.random()", DICE),
    (lambda: Shop.name(), "os.getenv()", MACHINE),
    (lambda: Shop.token(), "secrets.token_hex()", DICE),
    (lambda: Checked(name="a"), "time.time()", CLOCK),
    (lambda: remembered(1), "time.time()", CLOCK),
    (lambda: decorated(), "time.monotonic()", CLOCK),
    (lambda: sorted([1, 2], key=key), "random.random()", DICE),
    (lambda: deep(), "time.time()", CLOCK),
    (lambda: [time.time() for _ in "a"], "time.time()", CLOCK),
]  # fmt: skip


@pytest.mark.parametrize(("body", "shown", "does"), CAUGHT, ids=map(str, range(len(CAUGHT))))
def test_what_a_replay_cannot_repeat_is_caught_where_it_is_called(
    body: Callable[[], object], shown: str, does: str
) -> None:
    with pytest.raises(ForbiddenCallError) as caught:
        run_body(body)
    message = str(caught.value)
    assert message.startswith("instance 'scripted', at replay/test_tripwire.py:")
    assert f"{shown} {does}" in message


async def helper() -> float:
    await asyncio.sleep(0)
    return time.time()


def line_of(text: str) -> int:
    lines = HERE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


class Cart:
    def __init__(self) -> None:
        self.lines: list[str] = []

    async def run(self, ctx: OrchestrationContext) -> None:
        self.add()

    def add(self) -> None:
        self.lines.append(str(time.time()))


def test_a_class_is_looked_into() -> None:
    cart = orchestration(Cart)
    with pytest.raises(ForbiddenCallError, match=r"time\.time\(\)"):
        ScriptedHistory(Registry(cart), cart, strictness=ERROR).turn()


def test_the_message_names_the_line_the_remedy_and_how_to_allow_it() -> None:
    @orchestration
    async def order(ctx: OrchestrationContext) -> None:
        _ = [1, datetime.datetime.now()]  # this very line

    with pytest.raises(ForbiddenCallError) as caught:
        ScriptedHistory(Registry(order), order, strictness=ERROR).turn()
    assert str(caught.value) == (
        f"instance 'scripted', at replay/test_tripwire.py:{line_of('# this very line')}: "
        "datetime.datetime.now() reads the clock of this machine, which says something else on "
        "replay: use ctx.now(), the recorded time of the turn. If it "
        "is right there, say so on its line: `# perdure: allow PD101 because ...`"
    )


def test_the_run_is_parked_even_if_the_error_is_swallowed() -> None:
    def body() -> None:
        with suppress(Exception):
            time.time()

    with pytest.raises(ForbiddenCallError, match=r"time\.time\(\)"):
        run_body(body)


def test_tasks_and_helpers_of_the_turn_are_looked_into() -> None:
    @orchestration
    async def order(ctx: OrchestrationContext) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(helper())

    with pytest.raises(ForbiddenCallError, match=r"time\.time\(\)"):
        ScriptedHistory(Registry(order), order, strictness=ERROR).turn()


def _log() -> None:
    handler = logging.FileHandler(os.devnull, delay=True)
    handler.emit(logging.LogRecord("shop", 20, "", 0, "text", None, None))
    handler.close()


HARMLESS: list[Callable[[], Any]] = [
    lambda: random.Random(7).random(),
    lambda: uuid.uuid5(uuid.NAMESPACE_URL, "shop"),
    lambda: uuid.UUID(int=1),
    lambda: datetime.datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Lisbon")).isoformat(),
    lambda: time.gmtime(0),
    lambda: time.strftime("%Y", time.gmtime(0)),
    lambda: __import__("wave"),
    lambda: os.path.join("a", "b"),
    lambda: HERE.with_suffix(".txt").name,
    lambda: json_of_a_new_model(),
    lambda: threading.get_ident(),
    lambda: asyncio.Lock(),
    _log,
    lambda: logging.getLogger("shop").warning("something", exc_info=ValueError("no")),
    lambda: time.time(),  # perdure: allow PD101 only for this test
    lambda: (
        # perdure: allow PD102, PD101 as right above
        time.time()
    ),
]


def json_of_a_new_model() -> str:
    class Fresh(BaseModel):
        name: str = "a"

    return Fresh().model_dump_json()


@pytest.mark.parametrize("body", HARMLESS, ids=map(str, range(len(HARMLESS))))
def test_what_is_the_same_on_every_replay_is_let_through(body: Callable[[], object]) -> None:
    run_body(body)


def test_the_context_gives_time_ids_and_chance() -> None:
    @orchestration
    async def order(ctx: OrchestrationContext) -> None:
        ctx.now()
        ctx.uuid4()
        ctx.random().choice([1, 2])
        ctx.logger.info("all is well")
        await work("a")

    history = ScriptedHistory(Registry(order, work), order, strictness=ERROR)
    history.turn()
    history.complete("0:1", "done")
    history.turn()
    history.replay()


def test_steps_and_queries_may_ask_the_machine() -> None:
    @orchestration
    async def order(ctx: OrchestrationContext) -> float:
        @ctx.query
        def age() -> float:
            return time.time()

        def now() -> float:
            return time.time() + random.random()

        await work("a")
        return ctx.step(now)

    history = ScriptedHistory(Registry(order, work), order, strictness=ERROR)
    live = history.open()
    live.take_turn(history.records, upto=1, now=history.now)
    asked = live.answer_query("age", JsonText("{}"))
    assert isinstance(asked, str), asked
    live.close()
    history.turn()
    history.complete("0:1", "done")
    ending = history.turn().ending
    assert ending is not None
    assert ending.outcome is Outcome.COMPLETED


def test_outside_of_a_turn_nobody_minds() -> None:
    history = run_body(lambda: None)
    assert work.fn("a").startswith("a-")
    assert Order().id != Order().id
    assert deep()
    seen: list[object] = []

    @orchestration
    async def order(ctx: OrchestrationContext) -> None:
        try:
            await work("a")
        finally:
            seen.append(time.time())

    other = ScriptedHistory(Registry(order, work), order, strictness=ERROR)
    other.turn()
    other.close()  # clean-up of what is thrown away decides nothing
    history.close()
    assert len(seen) == 1


def test_another_thread_is_not_minded_while_a_turn_runs() -> None:
    asked, answered = threading.Event(), threading.Event()
    times: list[object] = []

    def other() -> None:
        asked.wait(10)
        times.extend([time.time(), random.random(), HERE.exists(), key(1)])
        answered.set()

    thread = threading.Thread(target=other)
    thread.start()

    def body() -> None:
        asked.set()
        assert answered.wait(10)

    run_body(body)
    thread.join()
    assert len(times) == 4


def test_a_warning_is_logged_once_for_each_place(caplog: pytest.LogCaptureFixture) -> None:
    def body() -> None:
        for _ in range(3):
            time.time()
        time.time(), random.random()

    for _ in range(2):
        run_body(body, WARN)
    first = body.__code__.co_firstlineno
    place = "instance 'scripted', at replay/test_tripwire.py"
    assert [record.getMessage().partition("() ")[0] for record in caplog.records] == [
        f"{place}:{first + 2}: time.time",
        f"{place}:{first + 3}: time.time",
        f"{place}:{first + 3}: random.random",
    ]
    assert {record.instance_id for record in caplog.records} == {"scripted"}  # type: ignore[attr-defined]  # extra field


def test_off_is_off(caplog: pytest.LogCaptureFixture) -> None:
    run_body(lambda: (time.time(), HERE.exists(), uuid.uuid4()), OFF)
    assert caplog.records == []
