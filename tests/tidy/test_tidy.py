"""In scope: the repository as such, its folders, words and documents.

Out of scope: whatever ruff, the type checkers and the layer contracts already say. A rule is here
because somebody would break it without meaning to; each failure tells what to do instead.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = {"runtime": "perdure", "operator": "perdure_operator"}

_FILE_LINES_MAX = 660
_FUNCTION_LINES_MAX = 80
_FILE_BYTES_MAX = 600_000

# What pins the versions of others is as long as it is.
_LOCK_FILES = {"uv.lock", "tests/devcluster/tools/go.mod", "tests/devcluster/tools/go.sum"}

# The core is told the time; it does not look. (`time`, `random` and the like are a layer contract.)
_CORE = (
    "runtime/perdure/model/",
    "runtime/perdure/replay/",
    "operator/perdure_operator/plan",
    "operator/perdure_operator/render",
)
_CLOCK_READERS = {"now", "today", "utcnow"}

# Modules that a part of the core may import, by an exception to its contract, and what for.
_HARMLESS = {
    "os": {"sep"},
    "random": {"Random"},  # given a seed
    "threading": {"get_ident", "main_thread"},
    "uuid": {"UUID"},
}

# SQL lives in .sql files. Of the Python only these speak it: to call a function, to listen, to
# migrate, and to read a server's own counters when it is measured.
_SQL_IN_PYTHON = {
    "runtime/perdure/cli/bench/server.py",
    "runtime/perdure/providers/postgres/calls.py",
    "runtime/perdure/providers/postgres/listen.py",
    "runtime/perdure/providers/postgres/migrate.py",
}
_SQL = re.compile(
    r"\s*(select\s.+\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|with\s+\S+\s+as\s*\("
    r"|(create|alter|drop)\s+(or\s+replace\s+)?(table|index|schema|role|function|type|view)\s"
    r"|(grant|revoke)\s+\S+\s+(on|to|from)\s|truncate\s+\S)",
    re.IGNORECASE | re.DOTALL,
)

# docs/glossary.md says what to call these instead. Parameters and fields are free: `worker` there
# is the identity that holds a lease, and an object of another system keeps its own name.
_STRAY_WORDS = {"workflow", "orchestrator", "worker", "backend", "job"}
_STRAY_FOLDERS = {"utils", "helpers", "common", "manager", "misc"}

_PATHS_OF_A_MACHINE = re.compile(r"(?<![\w.$}])/(?:root|work|home/\w+|Users/\w+)/")
_REMINDER = re.compile(
    r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b"
)
_EXCEPTION = re.compile(
    r"#\s*(?P<kind>noqa|type:\s*ignore|pyright:\s*ignore|pragma:\s*no cover)"
    r"(?P<codes>(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)|\[[\w, -]+\])?(?P<reason>.*)"
)
_MAY_SLEEP = "# may sleep:"


def _paths() -> list[Path]:
    """What is committed or about to be: what git ignores is nobody's business."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = {_ROOT / name for name in listed.stdout.split("\0") if name}
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


@dataclass(frozen=True, slots=True)
class _File:
    """A text file of the repository; `name` is its path from the root."""

    name: str
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def tree(self) -> ast.Module:
        return _parse(self.text)


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def _files() -> tuple[_File, ...]:
    found: list[_File] = []
    for path in _paths():
        try:
            found.append(_File(path.relative_to(_ROOT).as_posix(), path.read_text()))
        except UnicodeDecodeError:
            continue
    return tuple(found)


def _python(*prefixes: str) -> list[_File]:
    """Python under the given folders, without this file, which names all that is forbidden."""
    return [
        file
        for file in _files()
        if file.name.endswith(".py")
        and file.name.startswith(prefixes or "")
        and file.name != Path(__file__).relative_to(_ROOT).as_posix()
    ]


def _ours() -> list[_File]:
    return _python("runtime/", "operator/")


def _none(found: list[str], remedy: str) -> None:
    assert not found, f"{remedy}:\n  " + "\n  ".join(found)


# --- Folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "package"), _PACKAGES.items())
def test_the_two_plain_folders_hold_one_package_each_and_no_python_of_their_own(
    folder: str, package: str
) -> None:
    stray = [
        file.name
        for file in _python(f"{folder}/")
        if not file.name.startswith(f"{folder}/{package}/")
    ]
    _none(
        stray,
        f"{folder}/ is a plain folder. With Python right under it, `operator` is no longer the "
        f"standard module, and json, collections and pip break. Move it into {package}/ or tests/",
    )


def test_operator_is_still_the_standard_module_when_started_from_the_root() -> None:
    seen = subprocess.run(
        [sys.executable, "-c", "import collections, operator; print(operator.add(40, 2))"],
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.stdout == "42\n", seen.stderr


def test_no_folder_of_tests_is_a_package_or_named_after_a_standard_module() -> None:
    tests = [Path(file.name) for file in _python("tests/")]
    _none(
        [str(path) for path in tests if path.name == "__init__.py"],
        "Tests are not packages: remove it, or it hides the module whose name the folder has",
    )
    folders = {parent for path in tests for parent in path.parents}
    _none(
        [str(folder) for folder in folders if folder.name in sys.stdlib_module_names],
        "This folder has the name of a standard module: choose another, as tests/control did",
    )


def test_every_folder_with_tests_is_a_suite_that_make_runs() -> None:
    makefile = (_ROOT / "Makefile").read_text()
    suites = set(" ".join(re.findall(r"^\w+_SUITES := (.*)$", makefile, re.MULTILINE)).split())
    folders = {
        Path(file.name).parts[1]
        for file in _python("tests/")
        if Path(file.name).name.startswith("test_")
    }
    _none(sorted(folders - suites), "Name this folder of tests/ among the suites of the Makefile")


def test_no_folder_or_module_is_a_drawer_for_everything() -> None:
    parts = {part for file in _ours() for part in Path(file.name).with_suffix("").parts}
    _none(sorted(parts & _STRAY_FOLDERS), "A module is a noun of the domain: name what it holds")


# --- Sizes ---------------------------------------------------------------------------------------


def test_no_file_is_longer_than_one_idea() -> None:
    _none(
        [
            f"{file.name}: {len(file.lines)} lines"
            for file in _files()
            if file.name.endswith((".py", ".sql", ".sh")) and len(file.lines) > _FILE_LINES_MAX
        ],
        f"Split it: a file of more than {_FILE_LINES_MAX} lines is usually two ideas",
    )


def test_no_function_is_longer_than_a_screen() -> None:
    found = []
    for file in _python():
        for node in _functions(file.tree()):
            first = (
                node.body[1].lineno if ast.get_docstring(node) and node.body[1:] else node.lineno
            )
            lines = (node.end_lineno or first) - first + 1
            if lines > _FUNCTION_LINES_MAX:
                found.append(f"{file.name}:{node.lineno} {node.name}: {lines} lines")
    _none(
        found, f"Keep the branches and move the leaves out: more than {_FUNCTION_LINES_MAX} lines"
    )


def test_no_large_file_is_committed() -> None:
    _none(
        [
            str(path.relative_to(_ROOT))
            for path in _paths()
            if path.stat().st_size > _FILE_BYTES_MAX
            and path.relative_to(_ROOT).as_posix() not in _LOCK_FILES
        ],
        f"More than {_FILE_BYTES_MAX} bytes: generate it when it is needed",
    )


# --- Code ----------------------------------------------------------------------------------------


def test_the_core_never_asks_what_time_it_is() -> None:
    found = [
        f"{file.name}:{node.lineno}"
        for file in _python(*_CORE)
        for node in ast.walk(file.tree())
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _CLOCK_READERS
    ]
    _none(found, "Time is an argument in the core: take `now` from the caller")


def test_the_core_takes_nothing_but_values_from_modules_that_could_do_more() -> None:
    found = []
    for file in _python(*_CORE):
        for node in ast.walk(file.tree()):
            match node:
                case ast.Attribute(value=ast.Name(id=module), attr=name) if module in _HARMLESS:
                    taken = {name}
                case ast.ImportFrom(module=str(module), names=names) if module in _HARMLESS:
                    taken = {alias.name for alias in names}
                case ast.Call(func=ast.Attribute(attr="Random")) if not node.args:
                    module, taken = "random", {"Random without a seed"}
                case _:
                    continue
            found += [
                f"{file.name}:{node.lineno} {module}: {name}"
                for name in sorted(taken - _HARMLESS[module])
            ]
    _none(found, "The core does no I/O and rolls no dice: take the value as an argument")


def test_sql_is_written_in_sql_files() -> None:
    found = [
        f"{file.name}:{node.lineno}"
        for file in _ours()
        if file.name not in _SQL_IN_PYTHON
        for node in ast.walk(file.tree())
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value)
    ]
    _none(found, "Put it into a function of its own under sql/functions/, and call that")


def test_nobody_leaves_a_reminder_in_the_code() -> None:
    here = Path(__file__).relative_to(_ROOT).as_posix()
    found = [
        f"{file.name}:{number}"
        for file in _files()
        if file.name not in _LOCK_FILES | {here, "LICENSE"}
        for number, line in enumerate(file.lines, 1)
        if _REMINDER.search(line)
    ]
    _none(found, "Do it now, or say in the changelog or an ADR that it is not done")


def test_every_exception_to_a_rule_names_the_rule_and_gives_the_reason() -> None:
    found = []
    for file in _python():
        for number, line in enumerate(file.lines, 1):
            match = _EXCEPTION.search(line)
            is_named = match and (match["codes"] or match["kind"].startswith("pragma"))
            if match and not (is_named and re.search(r"\w{3}", match["reason"])):
                found.append(f"{file.name}:{number}: {line.strip()}")
    _none(found, "Say which rule and, on the same line, why: `# noqa: X123  because ...`")


def test_every_rule_of_ruff_that_is_off_says_why() -> None:
    text = (_ROOT / "pyproject.toml").read_text()
    section = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pydocstyle]")]
    rules = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+\d*",', line)]
    _none([line for line in rules if not re.search(r",\s+# \w", line)], "Give the reason beside it")
    settings = tomllib.loads(text)["tool"]["ruff"]["lint"]
    groups = [settings["ignore"], *settings["per-file-ignores"].values()]
    assert len(rules) == sum(map(len, groups)), "One rule a line, so that each can have its reason"


def test_no_test_sleeps() -> None:
    found = [
        f"{file.name}:{call.lineno}"
        for file in _python("tests/")
        for call in _sleeps(file.tree())
        if _MAY_SLEEP not in file.lines[call.lineno - 1]
    ]
    _none(
        found,
        "Move the clock or wait for the event; where only time will do, end the line with "
        f"`{_MAY_SLEEP} reason`",
    )


# --- Names ---------------------------------------------------------------------------------------


def test_public_names_use_the_words_of_the_glossary() -> None:
    found = [
        f"{file.name}: {name}"
        for file in _ours()
        for name in (Path(file.name).stem, *_public_definitions(file.tree()))
        if _words(name) & _STRAY_WORDS
    ]
    _none(found, "docs/glossary.md has the word to use instead")


def test_what_a_module_exports_is_there() -> None:
    found = [
        f"{file.name}: {name}"
        for file in _ours()
        for name in sorted(_exports(file.tree()) or ())
        if not hasattr(importlib.import_module(_module_of(file.name)), name)
    ]
    _none(found, "__all__ names it: define it, or take it off the list")


def test_a_package_that_gathers_names_exports_exactly_those() -> None:
    found = []
    for file in _ours():
        gathered = _reexports(file.tree())
        if Path(file.name).name == "__init__.py" and gathered:
            missing = gathered - (_exports(file.tree()) or set())
            found += [f"{file.name}: {name}" for name in sorted(missing)]
    _none(found, "Put it into __all__: what an __init__ gathers is public")


# --- Documents -----------------------------------------------------------------------------------


def test_no_path_of_somebodys_machine_is_committed() -> None:
    here = Path(__file__).relative_to(_ROOT).as_posix()
    found = [
        f"{file.name}:{number}: {line.strip()[:80]}"
        for file in _files()
        if file.name not in _LOCK_FILES | {here}
        for number, line in enumerate(file.lines, 1)
        if _PATHS_OF_A_MACHINE.search(line)
    ]
    _none(found, "Write it from the root of the repository, or take it as an argument")


def test_the_lock_names_no_index_but_the_public_one() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (_ROOT / "uv.lock").read_text()))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_the_lock_was_made_from_the_dependencies_that_are_asked_for() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    lock = tomllib.loads((_ROOT / "uv.lock").read_text())
    metadata = next(p["metadata"] for p in lock["package"] if p["name"] == "perdure")
    extras = project["project"]["optional-dependencies"].values()
    wanted = [*project["project"]["dependencies"], *(name for extra in extras for name in extra)]
    locked = [*metadata["requires-dist"]]
    for group, names in project["dependency-groups"].items():
        wanted += names
        locked += metadata["requires-dev"][group]
    assert sorted(re.sub(r"\[.*\]", "", each) for each in wanted) == sorted(
        each["name"] + each.get("specifier", "") for each in locked
    ), "Run `uv lock`"


def test_an_application_that_imports_perdure_loads_no_command_line_and_no_kubernetes() -> None:
    heavy = {"typer", "rich", "kopf", "kubernetes"}
    program = f"import sys, perdure; print(*sorted({heavy} & set(sys.modules)))"
    seen = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert seen.stdout.split() == []


def test_the_changelog_keeps_its_shape() -> None:
    text = (_ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert versions[0] == "[Unreleased]", "What is new goes on top, under [Unreleased]"
    dated = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d{2}-\d{2}", v) for v in versions[1:]]
    assert all(dated), f"A version is written `[1.2.3] - 2026-01-31`: {versions[1:]}"
    numbers = [tuple(map(int, match.groups())) for match in dated if match]
    assert numbers == sorted(numbers, reverse=True), "The newest version comes first"
    sections = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not re.search(r"^### .*\n+(?=#|\Z)", text, re.MULTILINE), "A section says something"


def test_decisions_are_numbered_indexed_and_complete() -> None:
    folder = _ROOT / "docs" / "adr"
    decisions = sorted(folder.glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in decisions]
    assert len(numbers) == len(set(numbers)), "Two decisions have one number"
    index = (folder / "README.md").read_text()
    headings = ["Context", "Decision", "Consequences", "What we did not do"]
    found = [f"{path.name} is not in the index" for path in decisions if path.name not in index]
    found += [
        f"{path.name} has the headings {seen}"
        for path in decisions
        if (seen := re.findall(r"^## (.*)$", path.read_text(), re.MULTILINE)) != headings
    ]
    _none(found, f"A decision is listed in docs/adr/README.md and has {headings}")


def test_the_glossary_says_what_to_write_instead_of_each_stray_word() -> None:
    table = (_ROOT / "docs" / "glossary.md").read_text()
    avoided = " ".join(row.split("|")[3] for row in table.splitlines() if row.count("|") == 4)
    _none(
        [word for word in sorted(_STRAY_WORDS) if word not in avoided],
        "This test forbids a word that docs/glossary.md does not list under `not`",
    )


def test_make_help_tells_of_every_target() -> None:
    makefile = (_ROOT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)
    told = re.findall(r"^([a-z-]+):.*## \w", makefile, re.MULTILINE)
    assert targets == told, "Each target has `.PHONY` above it and `## what it does` beside it"


# --- Reading Python ------------------------------------------------------------------------------


type _Function = ast.FunctionDef | ast.AsyncFunctionDef


def _functions(tree: ast.AST) -> Iterator[_Function]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def _sleeps(tree: ast.AST, *, is_durable: bool = False) -> Iterator[ast.Call]:
    """Calls of sleep that take time; in an orchestration or activity they are what is tested."""
    for node in ast.iter_child_nodes(tree):
        inside = is_durable or (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_definition(node)
        )
        if isinstance(node, ast.Call) and not inside and _takes_time(node):
            yield node
        yield from _sleeps(node, is_durable=inside)


def _is_definition(node: _Function) -> bool:
    marks = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
    takes_context = any(argument.arg == "ctx" for argument in node.args.args)
    return takes_context or "orchestration" in marks or "activity" in marks


def _takes_time(call: ast.Call) -> bool:
    function = ast.unparse(call.func)
    if function not in {"time.sleep", "asyncio.sleep", "anyio.sleep", "sleep"} or not call.args:
        return False
    return not (isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


def _public_definitions(tree: ast.Module) -> Iterator[str]:
    """Classes and functions that somebody else may call, methods too."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from (f.name for f in _functions(node) if not f.name.startswith("_"))


def _words(name: str) -> set[str]:
    """`ActivityJobs` and `activity_jobs` are of the words activity and job."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).lower()
    return {word.removesuffix("s") for word in spaced.split()}


def _exports(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if [ast.unparse(target) for target in targets] == ["__all__"] and node.value:
                return set(ast.literal_eval(node.value))
    return None


def _reexports(tree: ast.Module) -> set[str]:
    """What an __init__ takes from the packages themselves, under the names it gives it."""
    return {
        name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").split(".")[0] in _PACKAGES.values()
        for alias in node.names
        if not (name := alias.asname or alias.name).startswith("_")
    }


def _module_of(name: str) -> str:
    parts = Path(name).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
