"""In scope: that the list of patterns is whole, that each is tested, and that no check objects."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from perdure.cli.main import main

_ROOT = Path(__file__).resolve().parents[2]
_FOLDER = _ROOT / "examples" / "patterns"
PATTERNS = sorted(path.stem for path in _FOLDER.glob("*.py"))


def test_the_list_names_every_file_once_and_says_what_it_says() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.py\) \| (.+) \|$", _text("README.md"), re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == PATTERNS
    for name, file, shows in rows:
        assert name == file
        first = _text(f"{name}.py").partition("\n")[0]
        assert first.removeprefix('"""').removesuffix(".").casefold() == shows.casefold()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_file_says_when_to_use_it_and_is_tested(pattern: str) -> None:
    assert re.match(r'"""[^\n]+\.\n\nUse ', _text(f"{pattern}.py"))
    assert len(_text(f"{pattern}.py").splitlines()) <= 75, "a pattern is small"
    assert "cast(" not in _text(f"{pattern}.py")
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert re.search(rf"orch\.(start|do|register)\(\s*{pattern}\.", tests), "nothing runs it"


def test_none_is_named_after_a_standard_module() -> None:
    # `perdure run FILE` makes the file's folder importable: it would hide that module.
    assert {*PATTERNS} & sys.stdlib_module_names == set()


def test_the_examples_page_names_the_list() -> None:
    assert "(../examples/patterns)" in (_ROOT / "docs" / "examples.md").read_text()


def test_the_static_check_has_nothing_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(_FOLDER)]) == 0, capsys.readouterr().out


def _text(file: str) -> str:
    return (_FOLDER / file).read_text()
