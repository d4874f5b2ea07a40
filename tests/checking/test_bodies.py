"""In scope: each rule about bodies, by code that breaks it and code that only looks like it."""

# ruff: noqa: E501, ISC004  tables of programs, one a row

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from perdure.checking import RULES

if TYPE_CHECKING:
    from tests.checking.conftest import Look

_BODY = """\
{imports}
@orchestration
async def order(ctx: OrchestrationContext, names: set[str], items: list[str]) -> None:
{body}
"""


def in_body(body: str, imports: str = "") -> str:
    return _BODY.format(imports=imports, body=textwrap.indent(textwrap.dedent(body), "    "))


BAD = [
    ("PD101", "import time", "time.time()"),
    ("PD101", "import time as t", "t.monotonic_ns()"),
    ("PD101", "from time import perf_counter", "perf_counter()"),
    ("PD101", "import datetime", "datetime.datetime.now(datetime.UTC)"),
    ("PD101", "import datetime as d", "d.date.today()"),
    ("PD101", "from datetime import datetime as dt", "dt.utcnow()"),
    ("PD101", "import time", "time.localtime()"),
    ("PD101", "import time", "clock = time.time\nclock()"),
    ("PD101", "", "from time import time\ntime()"),
    ("PD101", "import time", "print_later = [lambda: time.time()]"),
    ("PD102", "import random", "random.random()"),
    ("PD102", "from random import choice as pick", "pick(items)"),
    ("PD102", "import random", "random.Random()"),
    ("PD102", "import random\nDICE = random.Random(7)", "DICE.random()"),
    ("PD102", "import secrets", "secrets.token_hex()"),
    ("PD102", "import os", "os.urandom(8)"),
    ("PD102", "import numpy as np", "np.random.default_rng()"),
    ("PD103", "import uuid", "uuid.uuid4()"),
    ("PD103", "from uuid import uuid1", "uuid1()"),
    ("PD103", "from uuid import uuid4\nfrom dataclasses import field", "field(default_factory=uuid4)"),
    ("PD104", "import os", "os.environ['HOME']"),
    ("PD104", "import os", "os.environ.get('HOME')"),
    ("PD104", "from os import environ", "'HOME' in environ"),
    ("PD104", "import os", "os.getenv('HOME')"),
    ("PD104", "import sys", "len(sys.argv)"),
    ("PD104", "import platform", "platform.node()"),
    ("PD104", "from datetime import datetime", "datetime.fromtimestamp(0)"),
    ("PD104", "", "ctx.now().astimezone()"),
    ("PD105", "", "open('prices')"),
    ("PD105", "from pathlib import Path", "Path('prices').read_text()"),
    ("PD105", "from pathlib import Path", "path = Path('a') / 'b'\npath.exists()"),
    ("PD105", "import os", "os.path.exists('prices')"),
    ("PD105", "import requests", "requests.get('http://shop')"),
    ("PD105", "import httpx", "async with httpx.AsyncClient() as http:\n    pass"),
    ("PD105", "import subprocess", "subprocess.run(['ls'])"),
    ("PD105", "import socket", "socket.create_connection(('shop', 80))"),
    ("PD105", "from urllib.request import urlopen", "urlopen('http://shop')"),
    ("PD105", "", "await asyncio.open_connection('shop', 80)"),
    ("PD106", "import threading", "threading.Thread(target=print).start()"),
    ("PD106", "from concurrent.futures import ThreadPoolExecutor as Pool", "Pool()"),
    ("PD106", "", "await asyncio.to_thread(sorted, items)"),
    ("PD106", "", "asyncio.run(asyncio.sleep(1))"),
    ("PD106", "", "asyncio.get_running_loop().run_in_executor(None, sorted)"),
    ("PD106", "import anyio", "await anyio.to_thread.run_sync(sorted)"),
    ("PD107", "", "for name in names:\n    await charge(name)"),
    ("PD107", "", "for name in {'a', 'b'}:\n    await charge(name)"),
    ("PD107", "", "await asyncio.gather(*(charge(name) for name in names))"),
    ("PD107", "", "wanted = set(items)\nlist(wanted)"),
    ("PD107", "", "[name for name in names | {'x'}]"),
    ("PD107", "", "names.pop()"),
    ("PD107", "", "', '.join(names)"),
    ("PD107", "", "{name: 1 for name in frozenset(items)}"),
    ("PD107", "", "first, *rest = [*names]"),
    ("PD107", "STEPS = {'pack', 'ship'}", "for step in STEPS:\n    await charge(step)"),
    ("PD107", "", "next(iter(names))"),
    ("PD108", "", "hash('a')"),
    ("PD108", "", "id(items)"),
    ("PD109", "TOTAL = 0", "global TOTAL\nTOTAL += 1"),
    ("PD109", "SEEN: dict[str, int] = {}", "SEEN['a'] = 1"),
    ("PD109", "SEEN = []", "SEEN.append(1)"),
    ("PD109", "import itertools\nCOUNT = itertools.count()", "next(COUNT)"),
    ("PD109", "class Totals:\n    sum = 0", "Totals.sum += 1"),
    ("PD109", "SEEN = {}", "del SEEN['a']"),
    ("PD110", "", "charge('a')"),
    ("PD110", "", "charge.options(tag='gpu')('a')"),
    ("PD110", "", "handle = charge('a')"),
    ("PD110", "", "child('a')"),
    ("PD110", "", "ctx.continue_as_new()"),
    ("PD110", "", "asyncio.sleep(5)"),
    ("PD110", "", "ctx.wait_event('go')"),
    ("PD110", "async def helper() -> None: ...", "helper()"),
    ("PD111", "", "try:\n    await charge('a')\nexcept:\n    pass"),
    ("PD111", "", "try:\n    await charge('a')\nexcept BaseException as error:\n    print_it = error"),
    ("PD111", "", "try:\n    await charge('a')\nexcept (ValueError, asyncio.CancelledError):\n    pass"),
    ("PD111", "from contextlib import suppress", "with suppress(BaseException):\n    await charge('a')"),
    ("PD112", "import time", "time.sleep(5)"),
    ("PD113", "", "async with Client.connect('postgresql://x') as client:\n    pass"),
    ("PD113", "CLIENT: Client", "await CLIENT.start(child, 'a')"),
    ("PD114", "", "print('here')"),
    ("PD114", "import logging\nLOG = logging.getLogger(__name__)", "LOG.warning('here')"),
    ("PD114", "import logging", "logging.info('here')"),
    ("PD115", "", "while True:\n    names.clear()"),
    ("PD115", "", "while True:\n    await asyncio.sleep(0)"),
    ("PD116", "", "while True:\n    await charge('a')"),
    ("PD116", "", "while 1:\n    async with asyncio.timeout(5):\n        await charge('a')"),
]  # fmt: skip

GOOD = [
    ("import time", "time.strptime('1', '%M')"),
    ("import time", "time.gmtime(0)"),
    ("from datetime import datetime, UTC", "datetime.fromtimestamp(0, UTC)"),
    ("from datetime import datetime", "datetime.fromisoformat('2026-01-01')"),
    ("import random", "random.Random(7).random()"),
    ("", "dice = ctx.random()\ndice.random()"),
    ("import uuid", "uuid.UUID(int=1)\nuuid.uuid5(uuid.NAMESPACE_URL, 'a')"),
    ("import os", "os.path.join('a', 'b')"),
    ("from pathlib import Path", "Path('a').with_suffix('.b').name"),
    ("from types import SimpleNamespace as time", "time.time()"),
    ("", "time = ctx.random()\ntime.time()"),
    ("def open(name: str) -> str: return name", "open('a')"),
    ("import requests", "try:\n    await charge('a')\nexcept requests.RequestException:\n    pass"),
    ("", "for name in sorted(names):\n    await charge(name)"),
    ("", "'a' in names and len(names) and max(names)"),
    ("", "sum(len(name) for name in names)"),
    ("", "{name for name in names}"),
    ("", "tasks = {asyncio.create_task(charge(i)) for i in items}\nfor t in tasks:\n    await t"),
    ("", "done, _ = await asyncio.wait([charge('a')])\nfor each in done:\n    each.result()"),
    ("", "for name in dict.fromkeys(items):\n    await charge(name)"),
    ("LIMIT = 5\nPRICES = {'a': 1}", "local = dict(PRICES)\nlocal['b'] = LIMIT"),
    ("SEEN = []", "SEEN = [1]\nSEEN.append(2)"),
    ("", "handle = charge('a')\nawait handle"),
    ("", "handles = [charge('a')]\nawait asyncio.gather(*handles)"),
    ("", "child.start_detached('a')"),
    ("", "try:\n    await charge('a')\nexcept Exception:\n    pass"),
    ("", "try:\n    await charge('a')\nexcept BaseException:\n    await charge('undo')\n    raise"),
    ("", "try:\n    int('a')\nexcept:\n    pass"),
    ("", "task = asyncio.create_task(child('a'))\ntask.cancel()\ntry:\n    await task\n"
         "except asyncio.CancelledError:\n    pass"),
    ("", "await asyncio.sleep(5)"),
    ("", "ctx.logger.info('here')"),
    ("", "while True:\n    if await charge('a'):\n        break"),
    ("", "while True:\n    await charge('a')\n    if ctx.should_continue_as_new:\n"
         "        await ctx.continue_as_new(names, items)"),
    ("", "while not items:\n    await charge('a')"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "imports", "body"), BAD)
def test_what_breaks_replay_is_found(look: Look, code: str, imports: str, body: str) -> None:
    findings = look(in_body(body, imports))
    assert [finding.code for finding in findings] == [code]
    assert ":" in findings[0].message, "what was found, then what to do"


@pytest.mark.parametrize(("imports", "body"), GOOD)
def test_what_only_looks_like_it_is_left_alone(look: Look, imports: str, body: str) -> None:
    assert look(in_body(body, imports)) == []


def test_every_rule_about_bodies_is_tried() -> None:
    assert {code for code, _, _ in BAD} == {code for code in RULES if code.startswith("PD1")}


def test_an_activity_may_do_all_that(look: Look) -> None:
    findings = look("""\
        import os, random, time

        @activity
        def work(path: str) -> float:
            print(open(path).read(), os.environ, random.random())
            time.sleep(1)
            return time.time()
    """)
    assert findings == []


def test_a_helper_is_looked_into_from_wherever_it_is_reached(look: Look) -> None:
    findings = look(
        """\
        from shop_parts import price, Basket
        import shop_parts.dates as dates

        def unused():
            import time
            return time.time()

        @orchestration
        async def order(ctx: OrchestrationContext) -> None:
            basket = Basket()
            basket.total()
            sorted([1, 2], key=price)
            dates.stamp()
        """,
        files={
            "shop_parts/__init__.py": "from .prices import price, Basket\n",
            "shop_parts/prices.py": """\
                from random import random as dice
                import os

                def price(item):
                    return discount()

                def discount():
                    return dice()

                class Basket:
                    def __init__(self):
                        self.owner = os.getenv("USER")

                    def total(self):
                        return self._sum()

                    def _sum(self):
                        return id(self)

                    def never(self):
                        return os.getenv("NEVER")
                """,
            "shop_parts/dates.py": """\
                import datetime

                def stamp():
                    def inner():
                        return datetime.datetime.now()
                    return inner()
                """,
        },
    )
    assert [(f.path, f.line, f.code) for f in findings] == [
        ("shop_parts/dates.py", 5, "PD101"),
        ("shop_parts/prices.py", 8, "PD102"),
        ("shop_parts/prices.py", 12, "PD104"),
        ("shop_parts/prices.py", 18, "PD108"),
    ]
    assert "(in 'discount', which orchestration 'order' reaches)" in findings[1].message


def test_the_decorator_is_known_by_whatever_name_it_was_imported(look: Look) -> None:
    findings = look("""\
        import time
        import perdure as p
        from perdure.replay.definitions import orchestration as durable

        @p.orchestration(version="1.0.0")
        async def one(ctx: p.OrchestrationContext) -> None:
            time.time()

        @durable
        async def two(ctx: OrchestrationContext) -> None:
            time.time()

        def orchestration(function):
            return function

        @orchestration
        async def three(ctx: OrchestrationContext) -> None:
            time.time()
    """)
    lines = {finding.line for finding in findings if finding.code == "PD101"}
    assert len(lines) == 2


def test_a_message_names_the_call_and_the_remedy_at_its_place(look: Look) -> None:
    (finding,) = look(in_body("stamp = [datetime.now()]", "from datetime import datetime"))
    assert (finding.path, finding.column) == ("shop.py", 14)
    assert finding.message == (
        "datetime.datetime.now() reads the clock of this machine, which says something else on "
        "replay: use ctx.now(), the recorded time of the turn"
    )


def test_steps_and_queries_may_do_what_they_like(look: Look) -> None:
    findings = look("""\
        import os, random, time, uuid

        def machine() -> str:
            return os.environ["HOME"]

        @orchestration
        async def order(ctx: OrchestrationContext) -> None:
            def now() -> float:
                return time.time()

            @ctx.query
            def age() -> float:
                return time.time()

            ctx.step(now)
            ctx.step(machine)
            ctx.step(lambda: random.random())
            ctx.step(uuid.uuid4)
            ctx.step(str, time.time())
    """)
    assert [(finding.code, finding.line) for finding in findings] == [("PD101", 30)]


@pytest.mark.parametrize(
    ("decorator", "after"),
    [
        ("@orchestration", ""),
        ("@orchestration(name='basket')", ""),
        ("", "cart = orchestration(Cart)"),
        ("", "cart = orchestration(version='1.2.0')(Cart)"),
    ],
)
def test_a_class_is_looked_at_with_all_its_methods(look: Look, decorator: str, after: str) -> None:
    findings = look(f"""\
        import time
        from perdure.replay.classes import query, update

        {decorator or "# nothing here"}
        class Cart:
            def __init__(self) -> None:
                self.since = time.time()

            async def run(self, ctx, owner: str, *, limit) -> None:
                charge(owner)
                await ctx.wait_event("pay")

            @update
            async def add(self, line: str) -> int:
                return self.price() + id(line)

            def price(self) -> int:
                return hash("price")

            @query
            def age(self) -> float:
                return time.time()

        {after or "# nor here"}
    """)
    assert [(finding.code, finding.line - 11) for finding in findings] == [
        ("PD101", 7),
        ("PD205", 9),
        ("PD110", 10),
        ("PD108", 15),
        ("PD108", 18),
    ]
    assert "parameter 'limit'" in findings[1].message
    assert "reaches" not in findings[2].message


def test_a_function_may_be_defined_by_a_call(look: Look) -> None:
    findings = look("""\
        import time

        async def plain(ctx) -> None:
            time.time()

        def work(name: str) -> None: ...

        order = orchestration(plain)
        working = activity(tag="gpu")(work)

        @orchestration
        async def other(ctx: OrchestrationContext) -> None:
            order()
            working("a")
    """)
    assert [finding.code for finding in findings] == ["PD101", "PD110", "PD110"]
