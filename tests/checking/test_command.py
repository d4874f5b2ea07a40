"""In scope: `perdure check` as a command: targets, output, exit codes, explanations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from perdure.checking import RULES
from perdure.cli.exits import ExitCode
from perdure.cli.main import main

_PAGE = (Path(__file__).resolve().parents[2] / "docs" / "determinism.md").read_text()
_ORDER = """\
import time
from perdure import OrchestrationContext, orchestration

@orchestration
async def order(ctx: OrchestrationContext) -> float:
    return time.time()
"""
_MESSAGE = (
    "time.time() reads the clock of this machine, which says something else on replay: use "
    "ctx.now(), the recorded time of the turn"
)

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "orders.py").write_text(_ORDER)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["check", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("target", ["shop/orders.py", "shop", "shop.orders", ".", None])
def test_a_file_a_folder_a_module_or_everything_here(run: Run, target: str | None) -> None:
    code, out, err = run(*([target] if target else []))
    assert code == ExitCode.FAILED
    assert out == f"shop/orders.py:6:12: PD101 {_MESSAGE}\n"
    assert err == (
        "1 finding in 1 orchestration and 0 activities in 1 file: PD101 ×1. "
        "See perdure check --explain PD101\n"
    )


def test_nothing_found_is_well(run: Run) -> None:
    assert run("shop", "--ignore", "PD1,PD2") == (
        ExitCode.OK,
        "",
        "Nothing found in 1 orchestration and 0 activities in 1 file\n",
    )


def test_json_for_programs(run: Run) -> None:
    code, out, err = run("shop", "-o", "json")
    assert (code, err) == (ExitCode.FAILED, "")
    assert json.loads(out) == [
        {
            "code": "PD101",
            "title": "reads the clock",
            "path": "shop/orders.py",
            "line": 6,
            "column": 12,
            "message": _MESSAGE,
        }
    ]
    assert json.loads(run("shop", "-o", "json", "--select", "PD102")[1]) == []


def test_annotations_for_github(run: Run) -> None:
    _, out, _ = run("shop", "--output", "github")
    assert out == (
        "::error file=shop/orders.py,line=6,col=12,title=PD101 reads the clock::" + _MESSAGE + "\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.py"], "There is no file or folder gone.py"),
        (["shop.gone"], "There is no file and no module 'shop.gone'"),
        (["no module"], "no module could have that name"),
        (["--select", "PD7"], "'PD7' is no code of perdure check"),
        (["--explain", "PD999"], "There is no code PD999"),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(run: Run, words: list[str], said: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err


def test_what_does_not_parse_is_a_finding(run: Run) -> None:
    Path("shop/broken.py").write_text("async def (:\n")
    code, out, _ = run("shop/broken.py")
    assert code == ExitCode.FAILED
    assert out.startswith("shop/broken.py:1:11: PD903 ")


def test_nothing_is_imported(run: Run) -> None:
    Path("shop/loud.py").write_text("raise SystemExit('imported')\n" + _ORDER)
    assert run("shop.loud")[1].startswith("shop/loud.py:7:12: PD101")


@pytest.mark.parametrize("code", RULES)
def test_every_code_is_explained(run: Run, code: str) -> None:
    rule = RULES[code]
    said = run("--explain", code.lower())[1]
    assert said.startswith(f"{code}: {rule.title}\n")
    assert rule.why in said
    assert rule.instead in said


def test_the_table_of_the_page_is_that_of_the_code() -> None:
    rows = [f"| {rule.code} | {rule.title} | {rule.instead} |" for rule in RULES.values()]
    assert "\n".join(rows) in _PAGE, "docs/determinism.md lists other codes; it should say:\n" + (
        "\n".join(rows)
    )


def test_examples_pass_their_own_check(run: Run) -> None:
    examples = Path(__file__).resolve().parents[2] / "examples"
    assert run(str(examples))[:2] == (ExitCode.OK, "")
