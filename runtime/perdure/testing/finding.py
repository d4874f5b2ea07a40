"""Which definitions an orchestration reaches: what a test need not list."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from perdure.replay.classes import UpdateMethod
from perdure.replay.definitions import Activity, OrchestrationDef

__all__ = ["reachable"]

type Definition = Activity[..., Any] | OrchestrationDef[..., Any]

_KINDS: tuple[type[Any], ...] = (Activity, OrchestrationDef)


def reachable(*definitions: Definition) -> list[Definition]:
    """Find definitions by the names that these use, in their own code and that of its helpers."""
    found: list[Definition] = []
    seen: set[int] = set()
    waiting: list[Any] = [*definitions]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, _KINDS):
            found.append(value)
            plain = inspect.unwrap(value.fn)
            waiting.append(plain)
            waiting.extend(_methods(value.fn) if plain is not value.fn else ())
        elif isinstance(value, FunctionType):
            waiting.extend(_used(value))
        elif type(value) in (dict, list, tuple):
            waiting.extend(_held(value))
    return found


def _held(table: Any) -> Iterator[Any]:
    """Find what a table of definitions holds."""
    for each in table.values() if hasattr(table, "values") else table:
        if isinstance(each, _KINDS):
            yield each


def _methods(run: Any) -> Iterator[Any]:
    """Find the methods of the class that an orchestration was made of."""
    made_of = inspect.getclosurevars(run).nonlocals.get("cls")
    if not isinstance(made_of, type):
        return
    for attribute in dir(made_of):
        member = inspect.getattr_static(made_of, attribute)
        if isinstance(member, UpdateMethod):
            yield from (member.fn, member.check)
        else:
            yield member


def _used(function: FunctionType) -> Iterator[Any]:
    names = set(_names(function.__code__))
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            members: dict[str, Any] = vars(value)
            yield from (members[each] for each in names if isinstance(members.get(each), _KINDS))
        elif value is not None:
            yield value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
