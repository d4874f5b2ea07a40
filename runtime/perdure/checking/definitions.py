"""Rules about decorated functions: what registering them would refuse, or a replay regret."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from perdure.checking.calls import Hit
from perdure.checking.names import FUNCTIONS
from perdure.checking.program import Definition, Place, Program
from perdure.replay.impure import impurity_of

__all__ = ["check_activity_body", "check_definition", "check_duplicates"]

_VERSION: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)
_NO_JSON: Final = (
    "collections.abc.Callable", "collections.abc.Iterator", "collections.abc.AsyncIterator",
    "collections.abc.Generator", "collections.abc.AsyncGenerator", "collections.abc.Coroutine",
    "collections.abc.Awaitable", "typing.Callable", "typing.Iterator", "typing.AsyncIterator",
    "typing.Generator", "typing.AsyncGenerator", "typing.Coroutine", "typing.Awaitable",
    "typing.IO", "typing.TextIO", "typing.BinaryIO", "builtins.type", "types.",
    "asyncio.", "threading.", "concurrent.futures.", "multiprocessing.", "queue.", "socket.",
    "logging.", "perdure.Client", "perdure.InstanceHandle", "perdure.OperationHandle",
    "perdure.OrchestrationContext", "perdure.ActivityContext", "builtins.BaseException",
    "builtins.Exception", "builtins.memoryview", "io.", "sqlite3.", "asyncpg.", "httpx.",
)  # fmt: skip
"""Types that cannot be stored as JSON; a dot at the end stands for all of a module."""


def check_definition(definition: Definition, program: Program) -> Iterator[Hit]:
    """Look at one decorated function."""
    body = definition.body
    place = Place(body.node, body.outer, body, program)
    if definition.kind == "orchestration":
        yield from _coroutine(definition)
        yield from _context(definition, place)
        yield from _version(definition)
    yield from _parameters(definition, place)
    yield from _types(definition, place)


def _owner(definition: Definition) -> str:
    return f"{definition.kind} {definition.name!r}"


def _coroutine(definition: Definition) -> Iterator[Hit]:
    node = definition.body.node
    if isinstance(node, ast.FunctionDef):
        yield Hit("PD201", node, f"{_owner(definition)} must be `async def`")
    elif any(isinstance(inner, ast.Yield | ast.YieldFrom) for inner in _own(node)):
        yield Hit("PD201", node, f"{_owner(definition)} has a `yield`: return one result instead")


def _own(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (*FUNCTIONS, ast.Lambda)):
            yield from _own(child)


def _context(definition: Definition, place: Place) -> Iterator[Hit]:
    positional = definition.positional
    remedy = "it must take `ctx: OrchestrationContext` first"
    if not positional:
        yield Hit("PD202", definition.body.node, f"{_owner(definition)} takes no context: {remedy}")
        return
    first = positional[0]
    if place.scope.is_class and not definition.is_class:
        yield Hit(
            "PD202",
            definition.body.node,
            f"{_owner(definition)} is a method; an orchestration is a function of its module",
        )
    elif first.annotation is not None:
        name = place.scope.type_named(first.annotation)
        if name is not None and name != "perdure.OrchestrationContext":
            shown = ast.unparse(first.annotation)
            yield Hit("PD202", first, f"{_owner(definition)} takes {shown} first; {remedy}")


def _parameters(definition: Definition, place: Place) -> Iterator[Hit]:
    arguments = definition.body.node.args
    for extra, stars in ((arguments.vararg, "*"), (arguments.kwarg, "**")):
        if extra is not None:
            yield Hit(
                "PD203",
                extra,
                f"{_owner(definition)} takes {stars}{extra.arg}; arguments travel by name: take a "
                "list or a dict instead",
            )
    context = (1 if _has_context(definition, place) else 0) + (1 if definition.is_class else 0)
    for argument in arguments.posonlyargs[context:]:
        message = f"{_owner(definition)}: {argument.arg!r} is positional-only: drop the `/`"
        yield Hit("PD203", argument, message)
    for default in (*arguments.defaults, *arguments.kw_defaults):
        if default is None:
            continue
        for node in ast.walk(default):
            if isinstance(node, ast.Call):
                name = place.qualify(node.func)
                if name is not None and impurity_of(name) is not None:
                    yield Hit(
                        "PD206",
                        node,
                        f"{_owner(definition)}: this default calls {name}() when the module is "
                        "imported, and so is another in every process: take None, and decide in "
                        "the body",
                    )


def _has_context(definition: Definition, place: Place) -> bool:
    if definition.kind == "orchestration":
        return True
    positional = definition.positional
    return bool(
        positional
        and positional[0].annotation is not None
        and place.scope.type_named(positional[0].annotation) == "perdure.ActivityContext"
    )


def _types(definition: Definition, place: Place) -> Iterator[Hit]:
    node = definition.body.node
    first = 1 if _has_context(definition, place) else 0
    named = [*definition.positional[first:], *node.args.kwonlyargs]
    for argument in named:
        if argument.arg in {"self", "cls"} and place.scope.is_class:
            continue
        if argument.annotation is None:
            yield Hit(
                "PD205",
                argument,
                f"{_owner(definition)}: parameter {argument.arg!r} has no type, and arrives as "
                "the plain JSON that it was stored as: annotate it",
            )
            continue
        for name, shown in _unstorable(place, argument.annotation):
            yield Hit(
                "PD204",
                argument,
                f"{_owner(definition)}: parameter {argument.arg!r} is declared {shown}, and "
                f"{name} has no JSON form: pass what it is made from",
            )
    if node.returns is not None:
        for name, shown in _unstorable(place, node.returns):
            yield Hit(
                "PD204",
                node.returns,
                f"{_owner(definition)}: its result is declared {shown}, and {name} has no JSON "
                "form: return what it is made from",
            )


def _unstorable(place: Place, annotation: ast.expr) -> Iterator[tuple[str, str]]:
    """Find types without a JSON form anywhere in an annotation; the first is enough."""
    node: ast.AST = annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            node = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            return
    for inner in _outside_annotated(node, place):
        name = place.qualify(inner)
        if name is None or name in place.program.classes:
            continue
        if any(name == no or (no.endswith(".") and name.startswith(no)) for no in _NO_JSON):
            yield name.removeprefix("builtins."), ast.unparse(annotation)
            return


def _outside_annotated(node: ast.AST, place: Place) -> Iterator[ast.AST]:
    """Go through the names of an annotation, but not into `Annotated[...]`, which says how."""
    if isinstance(node, ast.Subscript) and place.qualify(node.value) == "typing.Annotated":
        return
    if isinstance(node, ast.Name | ast.Attribute):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _outside_annotated(child, place)


def _version(definition: Definition) -> Iterator[Hit]:
    match definition.options.get("version"):
        case ast.Constant(value=str(version)) as node if not _VERSION.fullmatch(version):
            yield Hit(
                "PD208",
                node,
                f"{_owner(definition)}: version {version!r} is no semantic version, such as 1.2.0",
            )
        case _:
            pass


def check_duplicates(program: Program) -> Iterator[tuple[Definition, Hit]]:
    """Look for two definitions of one module that could not be registered together."""
    seen: dict[tuple[str, ...], Definition] = {}
    for definition in program.all_definitions:
        body = definition.body
        outer = body.outer.parent if definition.is_class else body.outer
        if outer is None or outer.parent is not None:
            continue  # made by a function: where it goes is not to be seen
        name = _text(definition.options.get("name"), definition.name)
        version = _text(definition.options.get("version"), "1.0.0")
        if definition.kind == "activity":
            version = ""
        if name is None or version is None:
            continue
        first = seen.setdefault((body.source.path, definition.kind, name, version), definition)
        if first is not definition:
            what = f"{definition.kind} {name!r}{f' version {version}' if version else ''}"
            yield (
                definition,
                Hit(
                    "PD207",
                    body.node,
                    f"{what} is defined at line {first.body.node.lineno} already: give this one "
                    "another name= or a higher version=",
                ),
            )


def _text(node: ast.expr | None, default: str) -> str | None:
    if node is None:
        return default
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def check_activity_body(place: Place) -> Iterator[Hit]:
    """Look for definitions that an activity calls as an orchestration would."""
    node = place.node
    if not isinstance(node, ast.Call):
        return
    definition = place.program.definitions.get(place.qualify(node.func) or "")
    if definition is not None and definition.body.outer.parent is None:
        name = ast.unparse(node.func)
        yield Hit(
            "PD209",
            node,
            f"{name}(...) schedules {_owner(definition)}, which only an orchestration can: call "
            f"{name}.fn(...), or schedule it from the orchestration",
        )
