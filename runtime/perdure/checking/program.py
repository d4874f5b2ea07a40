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
            else:
                for inner_block in _blocks(statement):
                    self._gather(source, inner_block, outer)

    def _gather_function(self, source: Source, node: Function, outer: Scope) -> None:
        scope = scope_of(node, outer, source.module, is_package=source.is_package)
        body = Body(scope.prefix, node, source, scope, outer)
        self.bodies[body.name] = body
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            name = outer.qualify(call.func if call else decorator)
            if name in {"perdure.orchestration", "perdure.activity"}:
                options = {k.arg: k.value for k in call.keywords if k.arg} if call else {}
                definition = Definition(name.rpartition(".")[2], body, options)
                self.definitions[body.name] = definition
                self.all_definitions.append(definition)
                if definition.kind == "orchestration":
                    _give_context_its_type(node, scope)
        self._gather(source, node.body, scope)

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
        for statement in body.node.body:
            yield from self._places(statement, body.scope, body)

    def _places(self, node: ast.AST, scope: Scope, body: Body) -> Iterator[Place]:
        yield Place(node, scope, body, self)
        inner = scope
        if isinstance(node, _SCOPED):
            inner = scope_of(node, scope, scope.module, is_package=scope.is_package)
        for child in ast.iter_child_nodes(node):
            yield from self._places(child, inner, body)

    def reached(self, start: Body) -> list[Body]:
        """Return a body and the helpers that it names, directly or through others, once each.

        Activities are left out, and so are other orchestrations: they are looked at themselves.
        """
        found = {start.name: start}
        waiting = [start]
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


def _give_context_its_type(node: Function, scope: Scope) -> None:
    positional = [*node.args.posonlyargs, *node.args.args]
    if positional and positional[0].annotation is None:
        scope.names[positional[0].arg].type = "perdure.OrchestrationContext"


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Return the blocks of a compound statement: definitions may stand under `if` and `try`."""
    for name in ("body", "orelse", "finalbody"):
        block: list[ast.stmt] = getattr(statement, name, [])
        if block:
            yield block
    handlers: list[ast.ExceptHandler] = getattr(statement, "handlers", [])
    for handler in handlers:
        yield handler.body
