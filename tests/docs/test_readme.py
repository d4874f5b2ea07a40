"""In scope: that the README shows what is there. Out of scope: what it shows of a cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PERDURE = str(Path(sys.executable).with_name("perdure"))
PAGES = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")})


def console(command: str) -> str:
    """What the README shows beneath a command."""
    found = re.search(rf"```console\n\$ {re.escape(command)}\n(.*?)```", README, re.DOTALL)
    assert found, f"README.md shows no {command!r}"
    return found[1]


def said(*command: str) -> str:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=True
    )
    return "\n".join(line.rstrip() for line in (done.stderr + done.stdout).splitlines())


def shape(output: str) -> list[str]:
    """Lines without what differs from run to run: times and the instance's id."""
    plain = re.sub(r"\d+ms", "Nms", re.sub(r"hello-[0-9a-f]{10}", "hello-ID", output))
    return [" ".join(line.split()) for line in plain.strip().splitlines()]


def test_the_program_is_the_file() -> None:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found
    assert found[1] == (ROOT / "examples/hello/hello.py").read_text()


def test_the_quick_look_prints_what_is_shown() -> None:
    shown = console('.venv/bin/perdure run examples/hello/hello.py \'names=["Ada","Grace"]\'')
    ran = said(PERDURE, "run", "examples/hello/hello.py", 'names=["Ada","Grace"]')
    assert shape(ran) == shape(shown)


def test_the_help_is_the_help() -> None:
    assert said(PERDURE, "--help").strip() == console("perdure --help").strip()


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE))
        assert named <= targets, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    gone = [link for link in links if not (page.parent / link).exists()]
    assert gone == []
