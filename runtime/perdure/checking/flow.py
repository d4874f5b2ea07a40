"""Rules about statements: state of the module, what is not awaited, swallowed errors, loops."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from perdure.checking.calls import Hit
from perdure.checking.names import FUNCTIONS
from perdure.checking.program import Place

__all__ = ["check_awaits", "check_excepts", "check_loops", "check_state"]

# ------------------------------------------------------------------- PD109: state

_MUTATORS: Final = {
    "append", "appendleft", "add", "clear", "discard", "extend", "extendleft", "insert", "pop",
    "popitem", "popleft", "remove", "reverse", "rotate", "setdefault", "sort", "subtract",
    "update", "difference_update", "intersection_update", "symmetric_difference_update",
    "move_to_end", "__setitem__", "put_nowait",
}  # fmt: skip


def check_state(place: Place) -> Iterator[Hit]:
    """Look for changes to what outlives the execution."""
    node = place.node
    match node:
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            yield from _check_targets(place, targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield from _check_targets(place, [target])
        case ast.Call(func=ast.Attribute(attr=method, value=ast.Name() as owner)):
            if method in _MUTATORS and (name := _of_module(place, owner)):
                yield _changed(node, f"{name}.{method}()", name)
        case ast.Call(func=ast.Name(id="next"), args=[ast.Name() as counter, *_]):
            if name := _of_module(place, counter):
                yield _changed(node, f"next({name})", name)
        case _:
            pass


def _check_targets(place: Place, targets: Iterable[ast.expr]) -> Iterator[Hit]:
    for target in targets:
        if isinstance(target, ast.Name) and target.id in place.scope.elsewhere:
            found = place.scope.top.names.get(target.id)
            is_global = place.scope.parent is not None and not _is_nonlocal(place, target.id)
            if found is not None or is_global:
                yield _changed(target, f"this assignment to {target.id}", target.id)
        elif isinstance(target, ast.Attribute | ast.Subscript) and (
            name := _of_module(place, target.value)
        ):
            yield _changed(target, f"this assignment to {ast.unparse(target)}", name)


def _is_nonlocal(place: Place, name: str) -> bool:
    scope = place.scope.parent
    while scope is not None and scope.parent is not None:
        if name in scope.names:
            return True
        scope = scope.parent
    return False


def _of_module(place: Place, node: ast.expr) -> str | None:
    """Name a variable or class of a module, reached by its name; None for anything else."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    found = place.scope.find(node.id)
    if found is None or found[0].parent is not None:
        return None
    binding = found[1]
    if binding.qualified is None:
        return node.id
    name = place.program.resolve(binding.qualified)
    if name in place.program.classes:
        return node.id
    module, _, variable = name.rpartition(".")
    there = place.program.modules.get(module)
    imported = there.names.get(variable) if there is not None else None
    return node.id if imported is not None and imported.qualified is None else None


def _changed(node: ast.AST, shown: str, name: str) -> Hit:
    return Hit(
        "PD109",
        node,
        f"{shown} changes {name}, which belongs to the module: all executions of this process "
        "share it, and another process has another: keep it in a local variable",
    )


# ------------------------------------------------------------------- PD110: awaits

_HANDLES: Final = {
    "perdure.OrchestrationContext.schedule_activity",
    "perdure.OrchestrationContext.schedule_sub_orchestration",
    "perdure.OrchestrationContext.schedule_timer",
    "perdure.OrchestrationContext.wait_event",
    "perdure.OrchestrationContext.schedule_wait",
    "perdure.OrchestrationContext.dequeue_event",
    "perdure.OrchestrationContext.continue_as_new",
    "perdure.OrchestrationContext.select",
    "perdure.OrchestrationContext.select2",
    "perdure.OrchestrationContext.select3",
    "perdure.OrchestrationContext.join",
    "perdure.OrchestrationContext.join2",
    "perdure.OrchestrationContext.join3",
    "perdure.OrchestrationContext.schedule_activity_on_session",
    "perdure.OrchestrationContext.schedule_activity_with_retry",
    "perdure.OrchestrationContext.schedule_activity_with_retry_on_session",
    "perdure.OrchestrationContext.get_kv_value_from_instance",
    "asyncio.sleep",
    "asyncio.wait_for",
    "asyncio.wait",
    "asyncio.gather",
    "asyncio.shield",
}


def check_awaits(place: Place) -> Iterator[Hit]:
    """Look for awaitables that are made and let go."""
    node = place.node
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        what = _awaitable(place, node.value)
        if what:
            yield _dropped(node, what)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        match node.targets:
            case [ast.Name(id=name)] if name not in place.scope.elsewhere:
                what = _awaitable(place, node.value)
                if what and not _is_used(place, name):
                    yield _dropped(node, f"{what}, kept as {name!r},")
            case _:
                pass


def _awaitable(place: Place, call: ast.Call) -> str:
    """Say what a call makes that should be awaited; empty for nothing."""
    function = call.func
    if isinstance(function, ast.Call) and isinstance(function.func, ast.Attribute):
        if function.func.attr != "options":
            return ""
        function = function.func.value  # charge.options(tag="gpu")(order)
    name = place.qualify(function)
    if name is None:
        return ""
    definition = place.program.definitions.get(name)
    if definition is not None:
        return f"{definition.kind} {definition.name!r}"
    if name in _HANDLES:
        short = name.replace("perdure.OrchestrationContext", "ctx")
        return f"{short}(...)"
    body = place.program.bodies.get(name)
    if body is not None and isinstance(body.node, ast.AsyncFunctionDef):
        is_generator = any(isinstance(n, ast.Yield) for n in ast.walk(body.node))
        return "" if is_generator else f"coroutine {body.node.name}(...)"
    return ""


def _dropped(node: ast.AST, what: str) -> Hit:
    if what.startswith("coroutine"):
        result = "does not even start"
    elif what.startswith("ctx.continue_as_new"):
        result = "lets the code go on to its next await"
    else:
        result = "may fail unnoticed, and is cancelled when the orchestration ends"
    return Hit("PD110", node, f"{what} is never awaited, and so {result}: await it, or gather it")


def _is_used(place: Place, name: str) -> bool:
    """Tell whether a local name is read anywhere in its function."""
    root: ast.AST = place.body.node
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in ast.walk(root)
    )


# ------------------------------------------------------------------- PD111: excepts

_BROAD: Final = {
    "builtins.BaseException": "`except BaseException`",
    "asyncio.CancelledError": "`except CancelledError`",
    "builtins.BaseExceptionGroup": "`except BaseExceptionGroup`",
    "builtins.GeneratorExit": "`except GeneratorExit`",
}


def check_excepts(place: Place) -> Iterator[Hit]:
    """Look for handlers that keep a cancellation to themselves."""
    node = place.node
    match node:
        case ast.Try() | ast.TryStar():
            if not _waits(node.body) or _is_cancelled_here(place, node.body):
                return
            for handler in node.handlers:
                caught = _catches(place, handler.type)
                if caught and not _raises(handler):
                    yield Hit(
                        "PD111",
                        handler,
                        f"{caught} swallows the cancellation of the instance: catch Exception, "
                        "or end the handler with `raise`",
                    )
        case ast.Call(args=arguments) if place.qualify(node.func) == "contextlib.suppress":
            if not _is_cancelled_around(place, node):
                for argument in arguments:
                    if place.qualify(argument) in _BROAD:
                        shown = f"suppress({ast.unparse(argument)})"
                        yield Hit(
                            "PD111",
                            node,
                            f"{shown} swallows the cancellation of the instance: suppress "
                            "Exception, or less",
                        )
        case _:
            pass


def _catches(place: Place, caught: ast.expr | None) -> str:
    if caught is None:
        return "bare `except:`"
    if isinstance(caught, ast.Tuple):
        return next((shown for each in caught.elts if (shown := _catches(place, each))), "")
    return _BROAD.get(place.qualify(caught) or "", "")


def _raises(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) for node in _own(handler))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Go through a node without the functions defined in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (*FUNCTIONS, ast.Lambda)):
            yield from _own(child)


def _waits(statements: list[ast.stmt]) -> bool:
    waiting = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    return any(
        isinstance(node, waiting)
        for statement in statements
        for node in (statement, *_own(statement))
    )


def _is_cancelled_here(place: Place, statements: list[ast.stmt]) -> bool:
    """Tell whether all that is awaited was cancelled by this very function, just before."""
    awaited = [
        node.value
        for statement in statements
        for node in _own(statement)
        if isinstance(node, ast.Await)
    ]
    cancelled = {
        ast.unparse(node.func.value)
        for node in ast.walk(place.body.node)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "cancel"
    }
    return bool(awaited) and all(ast.unparse(each) in cancelled for each in awaited)


def _is_cancelled_around(place: Place, call: ast.Call) -> bool:
    item = place.parent(call)
    block = place.parent(item) if item is not None else None
    return isinstance(block, ast.With) and _is_cancelled_here(place, block.body)


# ------------------------------------------------------------------- PD115, PD116: loops


def check_loops(place: Place) -> Iterator[Hit]:
    """Look for loops without an end."""
    node = place.node
    if not isinstance(node, ast.While) or not _is_true(node.test):
        return
    inside = [inner for statement in node.body for inner in (statement, *_own(statement))]
    if any(isinstance(inner, ast.Return | ast.Raise) for inner in inside) or _breaks(node.body):
        leaves = True
    else:
        leaves = any(
            isinstance(inner, ast.Attribute) and inner.attr == "continue_as_new" for inner in inside
        )
    awaits = [inner for inner in inside if isinstance(inner, ast.Await)]
    waits = [inner for inner in inside if isinstance(inner, ast.AsyncFor | ast.AsyncWith)]
    if (awaits and all(_is_yield(place, each.value) for each in awaits) and not waits) or (
        not awaits and not waits and not leaves
    ):
        if not any(isinstance(inner, ast.Yield) for inner in inside):
            yield Hit(
                "PD115",
                node,
                "this loop never waits for anything durable, so its turn spins: await an event, "
                "a timer or an activity in it",
            )
    elif not leaves:
        yield Hit(
            "PD116",
            node,
            "this loop never ends, and its history grows with every round: now and then "
            "`await ctx.continue_as_new(...)`, when ctx.should_continue_as_new",
        )


def _is_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and bool(test.value)


def _is_yield(place: Place, awaited: ast.expr) -> bool:
    """Tell an `asyncio.sleep(0)`, which waits for nothing."""
    match awaited:
        case ast.Call(args=[ast.Constant(value=0 | 0.0)]):
            return place.qualify(awaited.func) == "asyncio.sleep"
        case _:
            return False


def _breaks(statements: list[ast.stmt]) -> bool:
    """Tell whether a `break` among these statements leaves the loop around them."""
    for statement in statements:
        if isinstance(statement, ast.Break):
            return True
        if isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):
            if _breaks(statement.orelse):
                return True
            continue
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
            continue
        for name in ("body", "orelse", "finalbody"):
            if _breaks(getattr(statement, name, [])):
                return True
        blocks: list[ast.AST] = [
            *getattr(statement, "handlers", []),
            *getattr(statement, "cases", []),
        ]
        if any(_breaks(getattr(block, "body", [])) for block in blocks):
            return True
    return False
