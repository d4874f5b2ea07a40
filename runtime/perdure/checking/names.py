"""What a name in a body stands for.

A scope knows what each of its names is bound to: something imported, a function or class defined
there, or a variable with the expressions it was given. From that follow two answers: the qualified
name of an expression (`dt.now` is `datetime.datetime.now`), and the qualified type of its value as
far as an annotation or a constructor tells it (`Path(x)` is a `pathlib.Path`). Both may be None,
not known. Nothing is imported for it, and no flow is followed: a name that is bound in two ways is
known only if both agree.
"""

from __future__ import annotations

import ast
import builtins
import sys
from dataclasses import dataclass, field
from typing import Final

__all__ = ["FUNCTIONS", "Binding", "Function", "Scope", "arguments_of", "canonical", "scope_of"]

type Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_DEPTH_MAX: Final = 12

_PUBLIC: Final = frozenset(
    {
        "Activity", "ActivityContext", "Client", "InstanceHandle", "OperationHandle",
        "OrchestrationContext", "OrchestrationDef", "Registry", "activity", "current", "query",
        "orchestration",
    }
)  # fmt: skip
"""Names that `perdure` gathers from its packages; wherever they were imported from."""

_RETURNS: Final = {
    "logging.getLogger": "logging.Logger",
    "asyncio.get_running_loop": "asyncio.AbstractEventLoop",
    "asyncio.get_event_loop": "asyncio.AbstractEventLoop",
    "asyncio.new_event_loop": "asyncio.AbstractEventLoop",
    "perdure.Client.connect": "perdure.Client",
    "perdure.Client.get_handle": "perdure.InstanceHandle",
    "perdure.current": "perdure.OrchestrationContext",
    "collections.deque": "collections.deque",
    "collections.defaultdict": "collections.defaultdict",
    "numpy.random.default_rng": "numpy.random.Generator",
}
_DISPLAYS: Final[dict[type[ast.AST], str]] = {
    ast.Set: "builtins.set",
    ast.SetComp: "builtins.set",
    ast.List: "builtins.list",
    ast.ListComp: "builtins.list",
    ast.Dict: "builtins.dict",
    ast.DictComp: "builtins.dict",
    ast.Tuple: "builtins.tuple",
    ast.JoinedStr: "builtins.str",
}
_SET_METHODS: Final = {
    "union", "intersection", "difference", "symmetric_difference", "copy",
}  # fmt: skip
_SETS: Final = {"builtins.set", "builtins.frozenset"}


@dataclass(slots=True)
class Binding:
    """What one name of a scope is bound to."""

    qualified: str | None = None
    """For what is imported or defined: its qualified name."""
    values: list[ast.expr | None] = field(default_factory=list[ast.expr | None])
    """For a variable: what it was given; None where that is not to be seen."""
    annotation: ast.expr | None = None
    node: ast.AST | None = None
    """Where it is bound first."""
    type: str | None = None
    """For what has a type that nobody wrote: the qualified name of that."""


@dataclass(slots=True)
class Scope:
    """The names of a module, class, function or comprehension."""

    module: str
    prefix: str
    """What the qualified names of things defined here begin with."""
    parent: Scope | None
    is_package: bool = False
    is_class: bool = False
    names: dict[str, Binding] = field(default_factory=dict[str, Binding])
    elsewhere: set[str] = field(default_factory=set[str])
    """Names that `global` or `nonlocal` takes from outside."""

    def find(self, name: str) -> tuple[Scope, Binding] | None:
        """Find the binding of a name, from here outwards."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and name not in scope.elsewhere:
                return scope, scope.names[name]
            scope = scope.parent
            while scope is not None and scope.is_class:  # methods do not see their class's names
                scope = scope.parent
        return None

    @property
    def top(self) -> Scope:
        """The scope of the module."""
        return self if self.parent is None else self.parent.top

    # ------------------------------------------------------------------ qualified names

    def qualify(self, node: ast.AST | None, depth: int = 0) -> str | None:
        """Return the qualified name of what an expression stands for."""
        if depth > _DEPTH_MAX:
            return None
        match node:
            case ast.Name(id=name):
                return self._qualify_name(name, depth)
            case ast.Attribute(value=value, attr=attribute):
                owner = self.qualify(value, depth + 1) or self.type_of(value, depth + 1)
                return None if owner is None else canonical(f"{owner}.{attribute}")
            case ast.Subscript(value=value):  # Activity[int], list[str]
                return self.qualify(value, depth + 1)
            case ast.Constant(value=str(text)):  # an annotation in quotes
                return self._qualify_text(text, depth)
            case _:
                return None

    def _qualify_name(self, name: str, depth: int) -> str | None:
        found = self.find(name)
        if found is None:
            return f"builtins.{name}" if hasattr(builtins, name) else None
        scope, binding = found
        if binding.qualified is not None:
            return canonical(binding.qualified)
        if len(binding.values) == 1 and isinstance(binding.values[0], ast.Name | ast.Attribute):
            return scope.qualify(binding.values[0], depth + 1)  # now = datetime.now
        if scope.parent is None and binding.annotation is None and depth == 0:
            return f"{scope.prefix}.{name}"
        return None

    def _qualify_text(self, text: str, depth: int) -> str | None:
        try:
            return self.qualify(ast.parse(text, mode="eval").body, depth + 1)
        except SyntaxError:
            return None

    # ------------------------------------------------------------------ types

    def type_of(  # noqa: PLR0911  one for each kind of expression
        self, node: ast.AST | None, depth: int = 0
    ) -> str | None:
        """Return the qualified type of an expression's value."""
        if node is None or depth > _DEPTH_MAX:
            return None
        if type(node) in _DISPLAYS:
            return _DISPLAYS[type(node)]
        match node:
            case ast.Name(id=name):
                found = self.find(name)
                return None if found is None else found[0].type_of_binding(found[1], depth + 1)
            case ast.Call():
                return self._type_of_call(node, depth)
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.type_of(value, depth + 1)
            case ast.BinOp(left=left, right=right):
                types = {self.type_of(left, depth + 1), self.type_of(right, depth + 1)}
                both = types & (_SETS | {"pathlib.Path"})
                return next(iter(both)) if len(both) == 1 else None
            case ast.IfExp(body=body, orelse=other):
                one, two = self.type_of(body, depth + 1), self.type_of(other, depth + 1)
                return one if one == two else None
            case _:
                return None

    def type_of_binding(self, binding: Binding, depth: int = 0) -> str | None:
        """Return the type of a variable, if its annotation or all its values agree on one."""
        if depth > _DEPTH_MAX or binding.type is not None:
            return binding.type
        if binding.annotation is not None:
            return self.type_named(binding.annotation, depth + 1)
        types = {self.type_of(value, depth + 1) for value in binding.values}
        return types.pop() if len(types) == 1 else None

    def type_named(self, annotation: ast.expr, depth: int = 0) -> str | None:
        """Return the type that an annotation names; of `X | None`, X."""
        match annotation:
            case ast.BinOp(op=ast.BitOr(), left=left, right=ast.Constant(value=None)):
                return self.type_named(left, depth + 1)
            case ast.Constant(value=str(text)):
                try:
                    return self.type_named(ast.parse(text, mode="eval").body, depth + 1)
                except SyntaxError:
                    return None
            case _:
                name = self.qualify(annotation, depth + 1)
                return _ABSTRACT_SETS.get(name, name) if name else None

    def _type_of_call(self, call: ast.Call, depth: int) -> str | None:
        if isinstance(call.func, ast.Attribute) and call.func.attr in _SET_METHODS:
            owner = self.type_of(call.func.value, depth + 1)
            if owner in _SETS:
                return owner
        name = self.qualify(call.func, depth + 1)
        if name is None:
            return None
        if name in _RETURNS:
            return _RETURNS[name]
        last = name.rpartition(".")[2]
        is_class = last[:1].isupper() or name.startswith("builtins.")
        return name if is_class or last in {"datetime", "date", "count"} else None


_ABSTRACT_SETS: Final = {
    "typing.Set": "builtins.set",
    "typing.AbstractSet": "builtins.set",
    "typing.FrozenSet": "builtins.frozenset",
    "collections.abc.Set": "builtins.set",
    "collections.abc.MutableSet": "builtins.set",
}


def canonical(name: str) -> str:
    """Name what Perdure offers as `perdure` itself does, wherever it was imported from."""
    if not name.startswith("perdure."):
        return name
    parts = name.split(".")
    for index, part in enumerate(parts):
        if part in _PUBLIC:
            return ".".join(["perdure", *parts[index:]])
    return name


# ------------------------------------------------------------------- building scopes


def scope_of(node: ast.AST, parent: Scope | None, module: str, *, is_package: bool) -> Scope:
    """Gather the names that a module, class, function or comprehension binds itself."""
    prefix = module
    if parent is not None:
        name = getattr(node, "name", "<expression>")
        prefix = f"{parent.prefix}.{name}"
    scope = Scope(module, prefix, parent, is_package, isinstance(node, ast.ClassDef))
    if isinstance(node, (*FUNCTIONS, ast.Lambda)):
        for argument in arguments_of(node.args):
            binding = Binding(annotation=argument.annotation, node=argument)
            binding.values.append(None)
            scope.names[argument.arg] = binding
    _Binder(scope).bind(node)
    return scope


def arguments_of(arguments: ast.arguments) -> list[ast.arg]:
    """Return all parameters, in order."""
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return named + [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]


class _Binder(ast.NodeVisitor):
    """Notes what the statements of one scope bind, without entering those inside."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def bind(self, node: ast.AST) -> None:
        """Visit what is of this scope."""
        if isinstance(node, ast.Lambda):
            self.visit(node.body)
        elif isinstance(node, _COMPREHENSIONS):
            for generator in node.generators:
                self._assign(generator.target, None)
        else:
            body: list[ast.stmt] = getattr(node, "body", [])
            for statement in body:
                self.visit(statement)

    def _name(self, name: str, node: ast.AST) -> Binding:
        return self._scope.names.setdefault(name, Binding(node=node))

    def _assign(self, target: ast.AST, value: ast.expr | None) -> None:
        match target:
            case ast.Name(id=name):
                self._name(name, target).values.append(value)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                values: list[ast.expr | None] = [None] * len(targets)
                if isinstance(value, ast.Tuple) and len(value.elts) == len(targets):
                    values = [*value.elts]
                for inner, given in zip(targets, values, strict=True):
                    self._assign(inner, given)
            case ast.Starred(value=inner):
                self._assign(inner, None)
            case _:
                pass

    def visit_FunctionDef(self, node: Function) -> None:
        """Bind a function's name; its body is another scope."""
        self._name(node.name, node).qualified = f"{self._scope.prefix}.{node.name}"

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  as ast names it

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Bind a class's name; its body is another scope."""
        self._name(node.name, node).qualified = f"{self._scope.prefix}.{node.name}"

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Leave the scope of a lambda alone."""

    def visit_ListComp(self, node: ast.expr) -> None:
        """Leave comprehensions alone, but for `:=`, which binds outside of them."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.NamedExpr):
                self._assign(inner.target, inner.value)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp  # noqa: N815  as above

    def visit_Import(self, node: ast.Import) -> None:
        """Bind modules: `import a.b` binds `a`, `import a.b as c` the whole."""
        for alias in node.names:
            if alias.asname:
                self._name(alias.asname, node).qualified = alias.name
            else:
                top = alias.name.partition(".")[0]
                self._name(top, node).qualified = top

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Bind what a module has; relative ones are counted from this module."""
        base = node.module or ""
        if node.level:
            parts = self._scope.module.split(".")
            keep = len(parts) - node.level + (1 if self._scope.top.is_package else 0)
            base = ".".join([*parts[: max(keep, 0)], *([node.module] if node.module else [])])
        names: dict[str, str | None] = {a.asname or a.name: a.name for a in node.names}
        if names.pop("*", None) and base == "perdure":
            names = dict.fromkeys(sys.modules["perdure"].__all__)  # this very release
        for name, imported in names.items():
            self._name(name, node).qualified = f"{base}.{imported or name}"

    def visit_Assign(self, node: ast.Assign) -> None:
        """Bind variables."""
        for target in node.targets:
            self._assign(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Bind a variable whose type is told."""
        if isinstance(node.target, ast.Name):
            binding = self._name(node.target.id, node)
            binding.annotation = node.annotation
            binding.values.append(node.value)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Bind what is changed in place."""
        self._assign(node.target, ast.BinOp(node.target, node.op, node.value))
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """Bind by `:=`."""
        self._assign(node.target, node.value)
        self.generic_visit(node)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """Bind the variables of a loop."""
        self._assign(node.target, None)
        self.generic_visit(node)

    visit_AsyncFor = visit_For  # noqa: N815  as above

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """Bind what context managers give, taken to be themselves."""
        for item in node.items:
            if item.optional_vars is not None:
                self._assign(item.optional_vars, item.context_expr)
        self.generic_visit(node)

    visit_AsyncWith = visit_With  # noqa: N815  as above

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """Bind what was caught."""
        if node.name:
            self._name(node.name, node).values.append(None)
        self.generic_visit(node)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        """Take names from outside."""
        self._scope.elsewhere.update(node.names)

    visit_Nonlocal = visit_Global  # noqa: N815  as above

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        """Bind what a pattern captures."""
        if node.name:
            self._name(node.name, node).values.append(None)
        self.generic_visit(node)
