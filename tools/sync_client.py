"""Writes the blocking client, `perdure.client.sync`, from the asynchronous one.

Both have the same verbs, arguments, types and words. Written by hand, the second would soon be
behind the first; so it is made from its source, and a test compares. Run it after a change of the
client's signatures or docstrings::

    python tools/sync_client.py           # writes
    python tools/sync_client.py --check   # compares; exit code 1 where they differ
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parent.parent / "runtime" / "perdure" / "client"
SYNC = CLIENT / "sync"
PARTS = ("starting", "sending", "reading", "requests", "administration", "seed_names")
BASES = {
    "seed_names": ("Starting", "Sending", "Reading", "Administration"),
}
"""Of the classes whose names they need not repeat."""

type Method = ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    """Write or compare all modules."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    made = {f"{part}.py": _module(part) for part in PARTS} | {"handle.py": _handle_module()}
    stale = [name for name, text in made.items() if not _same(SYNC / name, text)]
    if check:
        for name in stale:
            sys.stderr.write(f"{SYNC / name} is not what tools/sync_client.py writes: run it\n")
        return 1 if stale else 0
    for name in stale:
        (SYNC / name).write_text(made[name])
    return 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def _module(part: str) -> str:
    tree = ast.parse((CLIENT / f"{part}.py").read_text())
    source = next(node for node in tree.body if isinstance(node, ast.ClassDef)
                  and node.name.lower() == part.replace("_", ""))  # fmt: skip
    bases = ", ".join(f"Sync{base}" for base in BASES.get(part, ())) or "SyncBase"
    return _formatted(
        _head(part, tree)
        + f'__all__ = ["Sync{source.name}"]\n\n\n'
        + f"class Sync{source.name}({bases}):\n"
        + f'    """`perdure.client.{part}`, for code without an event loop."""\n\n'
        + _methods(source, "self._client")
    )


def _handle_module() -> str:
    tree = ast.parse((CLIENT / "handle.py").read_text())
    source = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    return _formatted(
        _head("handle", tree)
        + "if TYPE_CHECKING:\n    from perdure.client.sync.runner import Runner\n\n"
        + '__all__ = ["SyncInstanceHandle"]\n\n\n'
        + "class SyncInstanceHandle[R]:\n"
        + '    """An instance by its id; see `InstanceHandle`."""\n\n'
        + "    def __init__(self, runner: Runner, handle: InstanceHandle[R]) -> None:\n"
        + "        self._runner = runner\n        self._handle = handle\n"
        + "        self.instance_id = handle.instance_id\n\n"
        + "    def __repr__(self) -> str:\n"
        + "        return f'SyncInstanceHandle({self.instance_id!r})'\n\n"
        + _methods(source, "self._handle")
    )


def _head(part: str, tree: ast.Module) -> str:
    """Everything that the module imports, for the linter to thin out."""
    lines = [
        f'"""Written by tools/sync_client.py from `perdure.client.{part}`; do not edit."""\n',
        "from __future__ import annotations\n",
        "from collections.abc import Iterator",
        "from perdure.client.handle import ANY, PATIENCE, InstanceHandle",
    ]
    lines.extend(
        ast.unparse(node)
        for node in ast.walk(tree)  # those for checkers alone too
        if isinstance(node, ast.Import | ast.ImportFrom)
        and ast.unparse(node) != "from __future__ import annotations"
    )
    if part != "handle":
        lines.append("from perdure.client.sync.base import SyncBase")
        lines.append("from perdure.client.sync.handle import SyncInstanceHandle")
        lines.extend(
            f"from perdure.client.sync.{base.lower()} import Sync{base}"
            for base in BASES.get(part, ())
        )
        lines.append("from perdure.client.starting import OnConflict")
    return "\n".join(lines) + "\n\n"


def _methods(source: ast.ClassDef, target: str) -> str:
    wanted = [
        node
        for node in source.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and node.name != "close"
    ]
    return "\n".join(_method(node, target) for node in wanted)


def _method(node: Method, target: str) -> str:
    returns = ast.unparse(node.returns) if node.returns else "None"
    call = f"{target}.{node.name}({_passed(node.args)})"
    if returns.startswith(("AsyncIterator", "AsyncGenerator")):
        body = f"return self._runner.iterate({call})"
        returns = returns.replace("AsyncIterator", "Iterator").replace("AsyncGenerator", "Iterator")
    else:
        result = f"self._runner.run({call})" if isinstance(node, ast.AsyncFunctionDef) else call
        body = result if returns == "None" else f"return {_wrapped(returns, result)}"
    returns = returns.replace("InstanceHandle", "SyncInstanceHandle")
    decorators = "".join(f"@{ast.unparse(item)}\n" for item in node.decorator_list)
    parameters = f"[{', '.join(map(ast.unparse, node.type_params))}]" if node.type_params else ""
    text = f"{decorators}def {node.name}{parameters}({ast.unparse(node.args)}) -> {returns}:"
    if any(ast.unparse(item) == "overload" for item in node.decorator_list):
        return _indented(f"{text} ...")
    doc = ast.get_docstring(node, clean=True) or ""
    quoted = "\n".join(f"    {line}".rstrip() for line in f'"""{doc}'.splitlines())
    end = '\n    """' if "\n" in doc else '"""'
    return _indented(f"{text}\n{quoted}{end}\n    {body}\n")


def _wrapped(returns: str, result: str) -> str:
    if returns.startswith("tuple[InstanceHandle"):
        return f"tuple(SyncInstanceHandle(self._runner, one) for one in {result})"
    if returns.startswith("InstanceHandle"):
        return f"SyncInstanceHandle(self._runner, {result})"
    return result


def _passed(arguments: ast.arguments) -> str:
    names = [argument.arg for argument in arguments.posonlyargs + arguments.args][1:]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    names.extend(f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs)
    if arguments.kwarg:
        names.append(f"**{arguments.kwarg.arg}")
    return ", ".join(names)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines()) + "\n"


def _formatted(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    name = str(SYNC / "made.py")
    fixed = subprocess.run(
        [*ruff, "check", "--fix-only", "--quiet", "--unsafe-fixes", "--stdin-filename", name, "-"],
        input=text, capture_output=True, text=True, check=True,
    )  # fmt: skip
    done = subprocess.run(
        [*ruff, "format", "--quiet", "--stdin-filename", name, "-"],
        input=fixed.stdout, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
