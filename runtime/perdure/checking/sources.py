"""Which files are checked, by path or by module, and what is in them."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from perdure.errors import ConfigurationError

__all__ = ["Source", "find_sources"]

_LEFT_OUT = {"__pycache__", "node_modules", "site-packages", "build", "dist"}


@dataclass(slots=True)
class Source:
    """One file."""

    path: str
    """As it is shown: relative to the current folder where that is shorter."""
    module: str
    """Its dotted name."""
    is_package: bool
    text: str
    tree: ast.Module | None
    problem: tuple[int, int, str] | None = None
    """Line, column and reason, if it does not parse."""
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict[ast.AST, ast.AST])


def find_sources(targets: Sequence[str]) -> list[Source]:
    """Read the files of paths, folders and modules, each once, in order.

    Raises:
        ConfigurationError: a target is neither a path nor a module that can be found.
    """
    found: dict[Path, Path] = {}
    for target in targets:
        for path, root in _files_of(target):
            found.setdefault(path.resolve(), root)
    return [_read(path, root) for path, root in found.items()]


def _files_of(target: str) -> Iterator[tuple[Path, Path]]:
    path = Path(target)
    if path.is_dir():
        yield from ((file, path) for file in _python_in(path))
    elif path.is_file():
        yield path, path.parent
    elif path.suffix == ".py" or "/" in target:
        raise ConfigurationError(f"There is no file or folder {target}")
    else:
        yield from _files_of_module(target)


def _python_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") or path.name in _LEFT_OUT
            if not hidden and not (path / "pyvenv.cfg").exists():
                yield from _python_in(path)
        elif path.suffix == ".py":
            yield path


def _files_of_module(name: str) -> Iterator[tuple[Path, Path]]:
    """Find a module without importing it, nor its packages."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"{name!r} is no path, and no module could have that name")
    relative = Path(*name.split("."))
    for base in (Path.cwd(), *map(Path, sys.path)):
        file, folder = base / relative.with_suffix(".py"), base / relative
        if file.is_file():
            yield file, base
            return
        if folder.is_dir() and (found := list(_python_in(folder))):
            yield from ((each, base) for each in found)
            return
    raise ConfigurationError(
        f"There is no file and no module {name!r} in {Path.cwd()} or among the installed "
        "packages, or it has no Python source"
    )


def _read(path: Path, root: Path) -> Source:
    module, is_package = _module_of(path, root.resolve())
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    tree, problem, text = None, None, ""
    try:
        text = importlib.util.decode_source(path.read_bytes())
        tree = ast.parse(text, str(path))
    except SyntaxError as error:
        problem = (error.lineno or 1, error.offset or 1, error.msg)
    except (OSError, ValueError) as error:
        problem = (1, 1, str(error))
    source = Source(str(shown), module, is_package, text, tree, problem)
    if tree is not None:
        for node in ast.walk(tree):
            for child in ast.iter_child_nodes(node):
                source.parents[child] = node
    return source


def _module_of(path: Path, root: Path) -> tuple[str, bool]:
    """Name a file as `import` would: by the packages around it, or below the folder given."""
    is_package = path.name == "__init__.py"
    parts = [] if is_package else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").exists() or (
        folder != root and folder.is_relative_to(root) and folder.name.isidentifier()
    ):
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts) or path.parent.name, is_package
