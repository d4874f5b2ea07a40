"""Rules about single calls: the clock, dice, I/O, threads, the client, logging."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from perdure.checking.program import Place
from perdure.replay.impure import CHANCE, CLOCK, ENVIRONMENT, IDS, THREADS, Impurity, impurity_of

__all__ = ["Hit", "check_call", "check_reference"]


class Hit(NamedTuple):
    """Where a rule does not hold, and what to say of it."""

    code: str
    node: ast.AST
    message: str


_CLOCK_UNLESS_TOLD: Final = {
    "time.localtime": 1,
    "time.gmtime": 1,
    "time.ctime": 1,
    "time.asctime": 1,
    "time.strftime": 2,
}
"""Functions that read the clock if they get fewer arguments."""
_LOOP_METHODS: Final = {"run_in_executor", "run_until_complete", "call_soon_threadsafe"}
_READ_WITHOUT_CALL: Final = {"os.environ", "os.environb", "sys.argv", "sys.stdin"}
_LOGGERS: Final = ("logging.", "loguru.", "structlog.", "pprint.", "sys.stdout.", "sys.stderr.")
_CLIENTS: Final = ("perdure.Client", "perdure.InstanceHandle", "perdure.client")


def check_call(place: Place) -> Iterator[Hit]:
    """Look at one call."""
    node = place.node
    if isinstance(node, ast.Call):
        name = place.qualify(node.func)
        yield from _check_unknown(node) if name is None else _check_known(place, node, name)


def _check_unknown(node: ast.Call) -> Iterator[Hit]:
    """Look at a method of who knows what: a few names are enough."""
    attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if attribute in _LOOP_METHODS:
        yield _impure(THREADS, node, f".{attribute}")
    elif attribute == "astimezone" and not node.args and not node.keywords:
        yield _local_time(node, ".astimezone()")


def _check_known(place: Place, node: ast.Call, name: str) -> Iterator[Hit]:
    shown = name.removeprefix("builtins.")
    impurity = _impurity(place, node, name)
    if impurity is not None:
        if not name.startswith(tuple(_READ_WITHOUT_CALL)):  # reported where it is named
            yield _impure(impurity, node, shown)
    elif name == "datetime.datetime.fromtimestamp" and len(node.args) + len(node.keywords) == 1:
        yield _local_time(node, "datetime.fromtimestamp() without a time zone")
    elif name == "datetime.datetime.astimezone" and not node.args and not node.keywords:
        yield _local_time(node, ".astimezone()")
    elif name in {"builtins.id", "builtins.hash"}:
        yield Hit(
            "PD108",
            node,
            f"{shown}() gives another number in every process: compare the values themselves, "
            "or digest them by hashlib",
        )
    elif name.startswith(_CLIENTS):
        yield Hit(
            "PD113",
            node,
            f"{shown}() uses the client, at once and again on every replay: call the "
            "orchestration itself, or use the client in an activity",
        )
    elif name == "builtins.print" or name.startswith(_LOGGERS):
        yield _log(node, name, shown)


def _log(node: ast.Call, name: str, shown: str) -> Hit:
    level = name.rpartition(".")[2] if name.startswith("logging.") else "info"
    if level not in {"debug", "info", "warning", "error", "exception", "critical", "log"}:
        level = "info"
    message = f"{shown}() is heard again on every replay: use ctx.logger.{level}(...)"
    return Hit("PD114", node, message)


def _impurity(place: Place, node: ast.Call, name: str) -> Impurity | None:
    """Look up a name, with the few whose harm depends on what they are given."""
    given = len(node.args) + len(node.keywords)
    if name in _CLOCK_UNLESS_TOLD:
        return CLOCK if given < _CLOCK_UNLESS_TOLD[name] else None
    if name == "random.Random":
        return CHANCE if given == 0 else None
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        made = place.qualify(node.func.value.func)
        if made is not None and impurity_of(made) is not None:
            return None  # threading.Thread(...).start(): once is enough
    if name.startswith("random.Random.") and _is_of_module(place, node.func):
        return CHANCE  # whoever used it before moved it on
    if name in place.program.bodies or name in place.program.classes:
        return None  # defined in the checked files, under a name that something else has too
    return impurity_of(name)


def _is_of_module(place: Place, function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return False
    found = place.scope.find(function.value.id)
    return found is not None and found[0].parent is None


def _impure(impurity: Impurity, node: ast.AST, shown: str) -> Hit:
    called = "" if shown in _READ_WITHOUT_CALL else "()"
    return Hit(impurity.code, node, f"{shown}{called} {impurity.does}: {impurity.remedy}")


def _local_time(node: ast.AST, shown: str) -> Hit:
    message = f"{shown} asks for the time zone of this machine: give a time zone, such as UTC"
    return Hit(ENVIRONMENT.code, node, message)


def check_reference(place: Place) -> Iterator[Hit]:
    """Look at names that are no call: the environment, and impure functions passed on."""
    node = place.node
    if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return
    parent = place.parent()
    if isinstance(parent, ast.Attribute):
        name = place.qualify(node)
        if name in _READ_WITHOUT_CALL:
            yield _impure(ENVIRONMENT, node, name)
        return
    name = place.qualify(node)
    if name is None:
        return
    if name in _READ_WITHOUT_CALL:
        yield _impure(ENVIRONMENT, node, name)
        return
    is_argument = isinstance(parent, ast.keyword) or (
        isinstance(parent, ast.Call) and node is not parent.func
    )
    if is_argument and name not in place.program.bodies:
        impurity = impurity_of(name)
        if impurity in (CLOCK, CHANCE, IDS):
            yield _impure(impurity, node, name)
