"""All checked files together: what is defined where, and what each orchestration reaches."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from perdure.checking.names import FUNCTIONS, Function, Scope, scope_of
from perdure.checking.sources import Source

__all__ = ["Body", "Definition", "Place", "Program"]

_SCOPED = (
    *FUNCTIONS,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
    ast.ClassDef,
)
_REEXPORTS_MAX = 10
_CONTEXT = "perdure.OrchestrationContext"


@dataclass(slots=True)
class Body:
    """One function of the checked files."""

    name: str
    """Qualified."""
    node: Function
    source: Source
    scope: Scope
    """The scope that it opens."""
    outer: Scope
    """The scope that it stands in."""


@dataclass(slots=True)
class Definition:
    """A function under `@orchestration` or `@activity`."""

    kind: str
    """`orchestration` or `activity`."""
    body: Body
    options: dict[str, ast.expr]
    """The keywords of the decorator."""
    others: tuple[Body, ...] = ()
    """Of a class: the methods beside `run` that decide."""
    is_class: bool = False

    @property
    def name(self) -> str:
        """What it is called without `name=`."""
        return self.body.outer.prefix.rpartition(".")[2] if self.is_class else self.body.node.name

    @property
    def positional(self) -> list[ast.arg]:
        """The positional parameters, but for `self`."""
        arguments = self.body.node.args
        return [*arguments.posonlyargs, *arguments.args][1 if self.is_class else 0 :]


@dataclass(slots=True)
class Place:
    """A node in a body, with all that a rule may ask about it."""

    node: ast.AST
    scope: Scope
    body: Body
    program: Program

    def qualify(self, node: ast.AST | None) -> str | None:
        """Return the qualified name of an expression, by its definition in the checked files."""
        name = self.scope.qualify(node)
        return None if name is None else self.program.resolve(name)

    def type_of(self, node: ast.AST | None) -> str | None:
        """Return the qualified type of an expression's value."""
        return self.scope.type_of(node)

    def parent(self, node: ast.AST | None = None) -> ast.AST | None:
        """Return the node around this one (or another)."""
        return self.body.source.parents.get(node or self.node)


class Program:
    """The functions, classes and definitions of the checked files, by qualified name."""

    def __init__(self, sources: Iterable[Source]) -> None:
        """Gather them."""
        self.modules: dict[str, Scope] = {}
        self.bodies: dict[str, Body] = {}
        self.classes: dict[str, list[str]] = {}
        """Names of the methods that making or using an object of a class may run."""
        self.definitions: dict[str, Definition] = {}
        self.all_definitions: list[Definition] = []
        self._suffixes: dict[str, str | None] = {}
        for source in sources:
            if source.tree is not None:
                self._gather_module(source, source.tree)
        for source in sources:
            if source.tree is not None:
                self._gather_assigned(source, source.tree)
        for name in self.modules:
            parts = name.split(".")
            for start in range(1, len(parts)):
                suffix = ".".join(parts[start:])
                self._suffixes[suffix] = None if suffix in self._suffixes else name

    def _gather_module(self, source: Source, tree: ast.Module) -> None:
        scope = scope_of(tree, None, source.module, is_package=source.is_package)
        self.modules.setdefault(source.module, scope)
        self._gather(source, tree.body, scope)

    def _gather(self, source: Source, statements: Iterable[ast.stmt], outer: Scope) -> None:
        for statement in statements:
            if isinstance(statement, FUNCTIONS):
                self._gather_function(source, statement, outer)
            elif isinstance(statement, ast.ClassDef):
                inner = scope_of(statement, outer, source.module, is_package=source.is_package)
                methods = [s.name for s in statement.body if isinstance(s, FUNCTIONS)]
                self.classes.setdefault(inner.prefix, methods)
                self._gather(source, statement.body, inner)
                for decorator in statement.decorator_list:
                    self._define(decorator, inner.prefix, outer, inner.prefix)
            else:
                for inner_block in _blocks(statement):
                    self._gather(source, inner_block, outer)

    def _gather_function(self, source: Source, node: Function, outer: Scope) -> None:
        scope = scope_of(node, outer, source.module, is_package=source.is_package)
        body = Body(scope.prefix, node, source, scope, outer)
        self.bodies[body.name] = body
        for decorator in node.decorator_list:
            self._define(decorator, body.name, outer, body.name)
        self._gather(source, node.body, scope)

    def _gather_assigned(self, source: Source, tree: ast.Module) -> None:
        """Find definitions that are made by a call: `cart = orchestration(Cart)`."""
        scope = self.modules[source.module]
        for statement in tree.body:
            match statement:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call() as call)
                ) if len(call.args) == 1:
                    target = scope.qualify(call.args[0])
                    if target is not None:
                        made = f"{scope.prefix}.{name}"
                        self._define(call.func, self.resolve(target), scope, made)
                case _:
                    pass

    def _define(self, decorator: ast.expr, target: str, scope: Scope, name: str) -> None:
        """Note a definition, if that is what the decorator makes of the function or class."""
        call = decorator if isinstance(decorator, ast.Call) else None
        kind = scope.qualify(call.func if call else decorator)
        if kind not in {"perdure.orchestration", "perdure.activity"}:
            return
        is_class = target in self.classes
        body = self.bodies.get(f"{target}.run" if is_class else target)
        if body is None:
            return
        options = {k.arg: k.value for k in call.keywords if k.arg} if call else {}
        others = [self.bodies.get(f"{target}.{method}") for method in self.classes.get(target, ())]
        definition = Definition(
            kind.rpartition(".")[2],
            body,
            options,
            tuple(each for each in others if each and each is not body and not _is_query(each)),
            is_class=is_class,
        )
        self.definitions[name] = definition
        self.all_definitions.append(definition)
        if definition.kind == "orchestration":
            _give_context_its_type(definition)

    # ------------------------------------------------------------------ names across files

    def resolve(self, name: str) -> str:
        """Follow a name through the modules that pass it on, to where it is defined."""
        for _ in range(_REEXPORTS_MAX):
            if name in self.bodies or name in self.classes:
                return name
            module, _, rest = self._split(name)
            if module is None:
                return name
            first, _, more = rest.partition(".")
            binding = self.modules[module].names.get(first)
            target = f"{module}.{rest}"
            if binding is not None and binding.qualified is not None:
                target = f"{binding.qualified}{f'.{more}' if more else ''}"
            if target == name:
                return name
            name = target
        return name

    def _split(self, name: str) -> tuple[str | None, str, str]:
        """Part a name into a checked module and what it names in there."""
        module = name
        while "." in module:
            module, _, _ = module.rpartition(".")
            known = module if module in self.modules else self._suffixes.get(module)
            if known is not None:
                return known, ".", name[len(module) + 1 :]
        return None, "", ""

    # ------------------------------------------------------------------ bodies

    def places(self, body: Body) -> Iterator[Place]:
        """Go through a body in the order of its text, nested functions and lambdas included."""
        steps = _names_of_steps(body)
        for statement in body.node.body:
            yield from self._places(statement, body.scope, body, steps)

    def _places(
        self, node: ast.AST, scope: Scope, body: Body, steps: frozenset[str]
    ) -> Iterator[Place]:
        if isinstance(node, FUNCTIONS) and (node.name in steps or _answers_queries(node, scope)):
            return  # what it does is recorded, or decides nothing
        yield Place(node, scope, body, self)
        inner = scope
        if isinstance(node, _SCOPED):
            inner = scope_of(node, scope, scope.module, is_package=scope.is_package)
        step = node.args[0] if isinstance(node, ast.Call) and _is_step(node, scope) else None
        for child in ast.iter_child_nodes(node):
            if child is not step:
                yield from self._places(child, inner, body, steps)

    def reached(self, *starts: Body) -> list[Body]:
        """Return bodies and the helpers that they name, directly or through others, once each.

        Activities are left out, and so are other orchestrations: they are looked at themselves.
        """
        found = {start.name: start for start in starts}
        waiting = [*starts]
        while waiting:
            for place in self.places(waiting.pop()):
                for name in self._named(place):
                    body = self.bodies.get(name)
                    if body is None or name in self.definitions or name in found:
                        continue
                    if ".perdure." in f".{name}":  # the engine knows what it does
                        continue
                    found[name] = body
                    waiting.append(body)
        return list(found.values())

    def _named(self, place: Place) -> Iterator[str]:
        """Name the functions that an expression may call, now or later."""
        node = place.node
        if not isinstance(node, ast.Name | ast.Attribute) or not isinstance(node.ctx, ast.Load):
            return
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            first = node.value.id
            around = place.body.outer
            if first in {"self", "cls"} and around.is_class:
                yield f"{around.prefix}.{node.attr}"
        name = place.qualify(node)
        if name is None:
            return
        if name in self.classes:
            yield from (f"{name}.{m}" for m in ("__init__", "__post_init__", "__call__"))
        owner, _, attribute = name.rpartition(".")
        if owner.startswith(place.body.scope.module) or owner in self.classes:
            yield f"{self.resolve(owner)}.{attribute}"
        yield name


def _give_context_its_type(definition: Definition) -> None:
    positional = definition.positional
    if positional and positional[0].annotation is None:
        definition.body.scope.names[positional[0].arg].type = _CONTEXT


def _is_query(body: Body) -> bool:
    """Tell a method that only answers questions."""
    return any(
        (body.outer.qualify(each.func if isinstance(each, ast.Call) else each) or "").endswith(
            "perdure.query"
        )
        for each in body.node.decorator_list
    )


def _answers_queries(node: Function, scope: Scope) -> bool:
    """Tell a function under `@ctx.query`."""
    return any(
        scope.qualify(each.func if isinstance(each, ast.Call) else each) == f"{_CONTEXT}.query"
        for each in node.decorator_list
    )


def _is_step(call: ast.Call, scope: Scope) -> bool:
    """Tell a call of `ctx.step`, whose first argument may do as it likes."""
    return (
        bool(call.args)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "step"
        and scope.qualify(call.func) == f"{_CONTEXT}.step"
    )


def _names_of_steps(body: Body) -> frozenset[str]:
    """Name the functions that a body hands to `ctx.step`."""
    return frozenset(
        node.args[0].id
        for node in ast.walk(body.node)
        if isinstance(node, ast.Call)
        and _is_step(node, body.scope)
        and isinstance(node.args[0], ast.Name)
    )


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Return the blocks of a compound statement: definitions may stand under `if` and `try`."""
    for name in ("body", "orelse", "finalbody"):
        block: list[ast.stmt] = getattr(statement, name, [])
        if block:
            yield block
    handlers: list[ast.ExceptHandler] = getattr(statement, "handlers", [])
    for handler in handlers:
        yield handler.body
