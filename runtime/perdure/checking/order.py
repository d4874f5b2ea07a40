"""The rule about sets: walking through one takes an order that no history knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from perdure.checking.calls import Hit
from perdure.checking.program import Place

__all__ = ["check_order"]

_SETS: Final = {"builtins.set", "builtins.frozenset"}
_ORDERLESS: Final = {
    "builtins.sorted", "builtins.set", "builtins.frozenset", "builtins.sum", "builtins.any",
    "builtins.all", "builtins.min", "builtins.max", "builtins.len", "math.fsum", "math.prod",
    "collections.Counter", "statistics.mean", "statistics.median",
}  # fmt: skip
"""What gives the same result whatever the order of its argument."""
_ORDERED: Final = {
    "builtins.list", "builtins.tuple", "builtins.iter", "builtins.enumerate", "builtins.zip",
    "builtins.map", "builtins.filter", "builtins.dict.fromkeys", "collections.deque",
    "itertools.chain", "itertools.chain.from_iterable", "itertools.batched", "itertools.islice",
    "builtins.str.join", "asyncio.as_completed",
}  # fmt: skip
_AWAITABLE: Final = ("Task", "Future", "OperationHandle")
_STARTS_TASK: Final = {"create_task", "ensure_future"}


def check_order(place: Place) -> Iterator[Hit]:  # noqa: C901  one case for each way to walk
    """Look at whatever walks through something."""
    node = place.node
    match node:
        case ast.For(iter=walked):
            yield from _report(place, walked, "this loop")
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp() | ast.SetComp():
            if not _is_orderless(place, node):
                for generator in node.generators:
                    yield from _report(place, generator.iter, "this comprehension")
        case ast.Starred(value=walked):
            yield from _report(place, walked, "`*`")
        case ast.Call(func=ast.Attribute(attr="pop", value=owner), args=[]):
            if _is_set(place, owner):
                yield Hit("PD107", node, _message(place, owner, "pop()"))
        case ast.Call(func=ast.Attribute(attr="join"), args=[walked]):
            yield from _report(place, walked, "join()")
        case ast.Call(args=[*arguments]):
            name = place.qualify(node.func)
            if name in _ORDERED:
                for argument in arguments:
                    yield from _report(place, argument, f"{name.removeprefix('builtins.')}()")
        case _:
            pass


def _report(place: Place, walked: ast.expr, by: str) -> Iterator[Hit]:
    if _is_set(place, walked):
        yield Hit("PD107", walked, _message(place, walked, by))


def _message(place: Place, walked: ast.expr, by: str) -> str:
    del place
    shown = ast.unparse(walked)
    if len(shown) > 40:  # noqa: PLR2004  what fits into a line
        shown = "a set"
    return (
        f"{by} walks through {shown}, a set: its order differs between processes: "
        f"walk through sorted({shown if shown != 'a set' else '...'}), or keep a list or dict"
    )


def _is_set(place: Place, node: ast.expr) -> bool:
    """Tell whether an expression is a set, other than of tasks, which are counted by the loop."""
    if place.type_of(node) not in _SETS or _holds_tasks(place, node):
        return False
    if isinstance(node, ast.Name):
        found = place.scope.find(node.id)
        if found is not None:
            binding = found[1]
            if binding.annotation is not None:
                return not any(word in ast.unparse(binding.annotation) for word in _AWAITABLE)
            return not any(value and _holds_tasks(place, value) for value in binding.values)
    return True


def _holds_tasks(place: Place, node: ast.expr) -> bool:
    if isinstance(node, ast.SetComp):
        return _is_awaitable(place, node.elt)
    if isinstance(node, ast.Set):
        return all(_is_awaitable(place, element) for element in node.elts)
    return False


def _is_awaitable(place: Place, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr in _STARTS_TASK:
        return True
    return place.qualify(node.func) in place.program.definitions


def _is_orderless(place: Place, node: ast.expr) -> bool:
    """Tell whether a comprehension only feeds something that does not mind the order."""
    if any(isinstance(inner, ast.Await) for inner in ast.walk(node)):
        return False
    if isinstance(node, ast.SetComp):
        return not any(isinstance(inner, ast.Call) for inner in ast.walk(node.elt))
    parent = place.parent(node)
    return (
        isinstance(parent, ast.Call)
        and node in parent.args
        and place.qualify(parent.func) in _ORDERLESS
    )
