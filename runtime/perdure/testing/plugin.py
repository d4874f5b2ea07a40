"""The pytest plugin: the fixture `orch`, `--update-golden`, and `every_crash_point`.

Installed with the package, so every run of pytest loads this module: it imports the rest only when
a test uses it. A test that takes `orch` may be async without another plugin: it then
runs in the environment itself, where `asyncio.sleep(3600)` takes no time either.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from perdure.testing.environment import Environment

__all__ = ["orch"]

UPDATING = "PERDURE_UPDATE_GOLDEN"
_MARK = "every_crash_point"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("perdure")
    group.addoption(
        "--update-golden", action="store_true", help="write golden histories instead of comparing"
    )
    group.addoption(
        "--orch-seed", type=int, default=None, metavar="N",
        help="draw the order of what happens at the same time in `orch`",
    )  # fmt: skip
    group.addoption(
        "--no-paranoid", action="store_true", help="do not replay whole histories at every turn"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, name the mark."""
    if config.getoption("--update-golden"):
        os.environ[UPDATING] = "1"
    config.addinivalue_line(
        "markers",
        f"{_MARK}: run the test again and again, with a crash at each write of its run "
        "(before storage does it, and after)",
    )


@pytest.fixture
def orch(request: pytest.FixtureRequest) -> Iterator[Environment]:
    """Give the test a system of its own."""
    environment = _environment(request.config)
    try:
        yield environment
    finally:
        environment.close()


def _environment(config: pytest.Config) -> Environment:
    from perdure.testing.environment import Environment  # noqa: PLC0415  see the head

    return Environment(
        paranoid=not config.getoption("--no-paranoid"), seed=config.getoption("--orch-seed")
    )


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run async tests of `orch` in it, and marked ones with every crash."""
    environment: Any = pyfuncitem.funcargs.get("orch")
    if type(environment).__name__ != "Environment":
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names if name in pyfuncitem.funcargs}
    is_marked = pyfuncitem.get_closest_marker(_MARK) is not None
    if not is_marked and not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    _call(pyfuncitem.obj, arguments, environment)
    if is_marked:
        _crash_everywhere(pyfuncitem, arguments, environment.faults.writes)
    return True


def _crash_everywhere(item: pytest.Function, arguments: dict[str, Any], writes: int) -> None:
    from perdure.testing.faults import CrashPoint  # noqa: PLC0415  see the head

    if not writes:
        pytest.fail(f"{item.name} is marked {_MARK}, but nothing was written in it")
    for point in (CrashPoint(n, after) for n in range(1, writes + 1) for after in (False, True)):
        environment = _environment(item.config)
        environment.faults.crash = point
        try:
            with environment:
                _call(item.obj, {**arguments, "orch": environment}, environment)
        except BaseException as error:
            error.add_note(f"with a crash {point} of {writes}")
            raise


def _call(
    function: Callable[..., Any], arguments: dict[str, Any], environment: Environment
) -> None:
    outcome = function(**arguments)
    if inspect.iscoroutine(outcome):
        environment.wait(outcome)
