"""In scope: each rule about decorated functions; most of them registering would refuse, too."""

# ruff: noqa: E501, ISC004  tables of programs, one a row

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perdure.checking import RULES

if TYPE_CHECKING:
    from tests.checking.conftest import Look

ORCHESTRATION = (
    "@orchestration\nasync def order(ctx: OrchestrationContext{more}) -> {result}:\n    ..."
)

BAD = [
    ("PD201", "@orchestration\ndef order(ctx: OrchestrationContext) -> None: ..."),
    ("PD201", "@orchestration\nasync def order(ctx: OrchestrationContext):\n    yield 1"),
    ("PD202", "@orchestration\nasync def order() -> None: ..."),
    ("PD202", "@orchestration\nasync def order(name: str) -> None: ..."),
    ("PD202", "@orchestration()\nasync def order(*, name: str) -> None: ..."),
    ("PD202", "@orchestration\nasync def order(ctx: 'ActivityContext') -> None: ..."),
    ("PD202", "class Shop:\n    @orchestration\n    async def order(self) -> None: ..."),
    ("PD203", "@activity\ndef work(*names: str) -> None: ..."),
    ("PD203", "@activity(tag='gpu')\ndef work(**names: str) -> None: ..."),
    ("PD203", "@activity\ndef work(name: str, /) -> None: ..."),
    ("PD204", "from collections.abc import Callable\n@activity\n"
              "def work(call: Callable[[], None]) -> None: ..."),
    ("PD204", "@activity\ndef work(name: str) -> 'asyncio.Queue[int]': ..."),
    ("PD204", "import threading\n@activity\ndef work(lock: list[threading.Lock]) -> None: ..."),
    ("PD204", "@activity\ndef work(client: Client | None = None) -> None: ..."),
    ("PD205", "@activity\ndef work(name) -> None: ..."),
    ("PD206", "import time\n@activity\ndef work(at: float = time.time()) -> None: ..."),
    ("PD206", "import uuid\n@orchestration\n"
              "async def order(ctx: OrchestrationContext, *, id: str = str(uuid.uuid4())) -> None: ..."),
    ("PD207", "@activity\ndef work() -> None: ...\n@activity(name='work')\ndef other() -> None: ..."),
    ("PD207", "@orchestration(name='child')\nasync def order(ctx: OrchestrationContext) -> None: ..."),
    ("PD208", "@orchestration(version='1')\nasync def order(ctx: OrchestrationContext) -> None: ..."),
    ("PD209", "@activity\nasync def work() -> None:\n    await charge('a')"),
    ("PD209", "@activity\nasync def work() -> None:\n    await child('a')"),
]  # fmt: skip

GOOD = [
    "@orchestration\nasync def order(ctx, name: str) -> None: ...",
    "@orchestration\nasync def order(context: 'OrchestrationContext', *, name: str = 'a') -> None: ...",
    "@orchestration(name='child', version='1.1.0')\nasync def newer(ctx: OrchestrationContext) -> None: ...",
    "@activity\ndef work(ctx: ActivityContext, names: list[str]) -> dict[str, int]: ...",
    "@activity\nasync def work(name: str) -> str:\n    return await charge.fn(name)",
    "from typing import Annotated, Any\n@activity\ndef work(a: Annotated[int, type], b: Any) -> None: ...",
    "def make(name: str):\n    @activity(name=name)\n    def work() -> None: ...\n    return work\n"
    "def again(name: str):\n    @activity(name=name)\n    def work() -> None: ...\n    return work",
    "class Plain:\n    def charge(self, anything): ...",
]  # fmt: skip


@pytest.mark.parametrize(("code", "text"), BAD)
def test_what_cannot_be_registered_is_found(look: Look, code: str, text: str) -> None:
    findings = look(text)
    assert {finding.code for finding in findings} == {code}


@pytest.mark.parametrize("text", GOOD)
def test_what_can_be_registered_is_left_alone(look: Look, text: str) -> None:
    assert look(text) == []


def test_every_rule_about_definitions_is_tried() -> None:
    assert {code for code, _ in BAD} == {code for code in RULES if code.startswith("PD2")}


def test_all_that_perdure_has_may_be_imported_at_once(look: Look) -> None:
    other = "from perdure import *\n\n@orchestration\nasync def order() -> None: ...\n"
    (found,) = look("", files={"other.py": other})
    assert (found.code, found.line) == ("PD202", 4)
