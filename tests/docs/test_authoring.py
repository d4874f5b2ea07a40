"""The authors' page says what there is, and its code runs."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from perdure import OrchestrationContext, OrchestrationDef, Registry
from perdure.model.limits import DEFAULT_LIMITS, Limits
from perdure.replay.basics import Basics
from perdure.replay.definitions import Activity
from perdure.replay.seed_names import SeedNames
from perdure.testing.scripted import ScriptedHistory

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "authoring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def found_in(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(block, "authoring.md", "exec"), names)  # noqa: S102  the page's own code
    return names


@pytest.mark.parametrize("block", BLOCKS)
def test_the_code_runs(block: str) -> None:
    assert len(found_in(block)) > 1


def block_with(text: str) -> dict[str, Any]:
    (block,) = [block for block in BLOCKS if text in block]
    return found_in(block)


def test_the_cart() -> None:
    names = block_with("async def cart(")
    registry = Registry(names["cart"], names["price"])
    history = ScriptedHistory(registry, names["cart"])
    history.update("u1", "add", item="pear", count=2)
    history.update("u2", "add", item="pear", count=0)
    history.turn()
    history.complete("u.0:1", 4)
    history.turn()
    assert history.query("total") == 8
    assert {name: each.result for name, each in history.answers().items()} == {
        "u1": "8",
        "u2": None,
    }
    history.update("u3", "pay")
    ending = history.turn().ending
    assert ending is not None
    assert ending.output == '{"pear":8}'


def test_the_light() -> None:
    light = block_with("class Light")["light"]
    assert isinstance(light, OrchestrationDef)
    history = ScriptedHistory(Registry(light), light, "hall")
    history.raise_event("switched", data=True)
    history.turn()
    assert history.query("shines") is True
    history.raise_event("burnt_out")
    ending = history.turn().ending
    assert ending is not None
    assert ending.output == '"change the one in the hall"'


def public(cls: type[Any]) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("_")]


@pytest.mark.parametrize("name", public(SeedNames))
def test_every_name_of_duroxide_is_in_the_table(name: str) -> None:
    table = PAGE[PAGE.index("## The names of duroxide") :]
    assert f"`{name}`" in table


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in sorted({*public(Basics), *public(OrchestrationContext)})
        if name not in ("engine", "name", "version")
        and not name.endswith(("_typed", "_versioned"))  # twins
    ],
)
def test_everything_about_the_context_is_on_the_pages(name: str) -> None:
    pages = [path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")]
    assert any(re.search(rf"\bctx\.{name}\b|`{name}`", page) for page in pages)


@pytest.mark.parametrize("cls", [Activity, OrchestrationDef])
def test_every_option_is_on_the_page(cls: Any) -> None:
    options = [name for name in inspect.signature(cls.options).parameters if name != "self"]
    assert [name for name in options if f"`{name}=`" not in PAGE and f"{name}=" not in PAGE] == []


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_limits_are_told_as_they_are(name: str) -> None:
    if name in ("callbacks_per_turn", "history_records", "carried_events", "payload_bytes"):
        return  # told by what they are for, not by name
    value = getattr(DEFAULT_LIMITS, name)
    shown = {
        256 * 1024: "256 KiB",
        64 * 1024: "64 KiB",
        8 * 1024: "8 KiB",
        1024 * 1024: "1 MiB",
    }.get(value, f"{value:,}")
    (line,) = [line for line in PAGE.splitlines() if f"`{name}`" in line and line.startswith("|")]
    assert shown in line
