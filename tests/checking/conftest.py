from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure.checking import Finding, check

HEAD = """\
import asyncio
from perdure import ActivityContext, Client, OrchestrationContext, activity, orchestration

@activity
async def charge(order: str) -> str:
    return order

@orchestration
async def child(ctx: OrchestrationContext, order: str) -> str:
    return await charge(order)

"""

type Look = Callable[..., list[Finding]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Check files of this text, under the usual imports; `files` adds others by name."""
    monkeypatch.chdir(tmp_path)

    def run(
        text: str, *, files: dict[str, str] | None = None, **options: list[str]
    ) -> list[Finding]:
        (tmp_path / "shop.py").write_text(HEAD + textwrap.dedent(text))
        for name, other in (files or {}).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(other))
        return list(check(["."], **options).findings)

    return run
