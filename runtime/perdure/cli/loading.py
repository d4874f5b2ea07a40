"""Importing the code of the user: `MODULE`, `MODULE:ORCHESTRATION` or `FILE.py[:ORCHESTRATION]`.

What goes wrong here is the first thing that a newcomer meets, so each way has its message: no such
module (and the names that come close), a module that raises while it is imported (and the line),
a module without definitions, an orchestration that it does not have (and those that it has).
"""

from __future__ import annotations

import importlib
import sys
import traceback
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from perdure.errors import ConfigurationError, NotRegisteredError
from perdure.replay.registry import Registry

__all__ = ["App", "choose_orchestration", "load_app"]


@dataclass(frozen=True, slots=True)
class App:
    """The definitions of one module, and the name that was asked for beside it."""

    module: str
    registry: Registry
    name: str | None


def load_app(spec: str) -> App:
    """Import the module that `spec` names and gather its definitions.

    The current folder is importable, as with `python -m`.

    Raises:
        ConfigurationError: There is no such module, it does not import, or defines nothing.
    """
    target, _, name = spec.partition(":")
    if target.endswith(".py"):
        path = Path(target).resolve()
        if not path.is_file():
            raise ConfigurationError(f"There is no file {target}")
        folder, module_name = path.parent, path.stem
    else:
        folder, module_name = Path.cwd(), target
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = _import(module_name, folder)
    registry = Registry.from_module(module)
    if not registry.orchestrations and not registry.activities:
        raise ConfigurationError(
            f"Module {module_name} defines no orchestration and no activity: "
            "mark functions with @orchestration and @activity"
        )
    return App(module=module_name, registry=registry, name=name or None)


def _import(name: str, folder: Path) -> ModuleType:
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(
            f"{name!r} is no module: write MODULE, package.module or FILE.py, "
            "with :ORCHESTRATION after it if you like"
        )
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            near = get_close_matches(name, _modules_in(folder), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ConfigurationError(
                f"There is no module {name!r} in {folder} or among the installed packages{hint}"
            ) from error
        raise _does_not_import(name, error) from error
    except (Exception, SystemExit) as error:
        raise _does_not_import(name, error) from error


def _modules_in(folder: Path) -> list[str]:
    files = (path.stem for path in folder.glob("*.py"))
    packages = (path.parent.name for path in folder.glob("*/__init__.py"))
    return sorted({*files, *packages})


def _does_not_import(name: str, error: BaseException) -> ConfigurationError:
    where = ""
    if isinstance(error, SyntaxError):
        where = f" at {error.filename}:{error.lineno}"
    else:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "importlib" not in frame.filename and frame.filename != __file__
        ]
        if frames:
            where = f" at {frames[-1].filename}:{frames[-1].lineno}"
    return ConfigurationError(
        f"Module {name!r} does not import: {type(error).__name__}: {error}{where}"
    )


def choose_orchestration(app: App) -> str:
    """Name the orchestration to run: the one asked for, or the only one there is.

    Raises:
        NotRegisteredError: The module has none of that name; the message lists those that it has.
        ConfigurationError: None was asked for, and there is not exactly one.
    """
    names = sorted({name for name, _ in app.registry.code()})
    if app.name is not None:
        if app.name in names:
            return app.name
        near = get_close_matches(app.name, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        has = f"it has {', '.join(names)}" if names else "it has none"
        raise NotRegisteredError(
            f"Module {app.module} has no orchestration {app.name!r}: {has}{hint}"
        )
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigurationError(f"Module {app.module} defines no orchestration, only activities")
    raise ConfigurationError(
        f"Module {app.module} defines {len(names)} orchestrations: say which, as in "
        f"{app.module}:{names[0]} (there are {', '.join(names)})"
    )
