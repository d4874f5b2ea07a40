"""Arguments by name: one JSON object per call, encoded and decoded by the function's signature.

By name, because then a parameter with a default can be added while calls are under way. All
parameters of a function are one `TypedDict` to pydantic: a call is encoded in one step, and
taken apart argument by argument only to say which one was wrong.
"""

from __future__ import annotations

import inspect
import sys
from types import GenericAlias, SimpleNamespace
from typing import TYPE_CHECKING, Any, Never, NoReturn, TypedDict, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, SchemaSerializer, to_json
from pydantic_core.core_schema import CoreConfig

from perdure.errors import DefinitionError, PayloadError
from perdure.model.codec import (
    EXACT,
    JSON_CONFIG,
    PAYLOAD_BYTES_MAX,
    alone,
    checked,
    encode,
    first_line,
    first_problem,
    is_kept,
    prepare,
    reader,
    too_large,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perdure.model.ids import JsonText

__all__ = ["Signature"]

_EMPTY = inspect.Parameter.empty
_NEVER = (Never, NoReturn)
"""What an orchestration returns that only ever continues as new."""


class Signature:
    """The parameters of one definition, less the context, and what it returns.

    Annotations are resolved at first use, so that they may name what is defined further down.
    """

    __slots__ = (
        "_adapter",
        "_delicate",
        "_exact",
        "_hints",
        "_locals",
        "_read",
        "_serializer",
        "fn",
        "names",
        "owner",
        "positional",
        "required",
        "returns",
    )

    def __init__(
        self,
        owner: str,
        fn: Callable[..., object],
        *,
        has_context: bool,
        locals_: Mapping[str, Any],
    ) -> None:
        """Read the parameters of `fn`; `owner` is how messages name it.

        Raises:
            DefinitionError: a parameter cannot travel by name.
        """
        self.owner = owner
        self.fn = fn
        self._locals = locals_
        self._adapter: TypeAdapter[Any] | None = None
        self._serializer: SchemaSerializer | None = None
        self._read: Callable[[str], Any] | None = None
        self._exact: tuple[Any, ...] | None = None
        self._delicate = False
        """Whether a value may fit its type and yet not come back as it was."""
        self._hints: dict[str, Any] = {}
        self.returns: Any = Any
        parameters = list(inspect.signature(fn).parameters.values())[1 if has_context else 0 :]
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
                msg = (
                    f"{owner} takes {stars}{parameter.name}; arguments travel by name, so every "
                    "parameter needs one: take a list or a dict instead"
                )
                raise DefinitionError(msg)
            if parameter.kind is parameter.POSITIONAL_ONLY:
                msg = f"{owner}: parameter {parameter.name!r} is positional-only; drop the `/`"
                raise DefinitionError(msg)
        self.names = tuple(p.name for p in parameters)
        self.positional = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.required = frozenset(p.name for p in parameters if p.default is _EMPTY)

    # ----------------------------------------------------------------- types

    def resolve(self) -> TypeAdapter[Any]:
        """Resolve annotations and build the converter, once.

        Raises:
            DefinitionError: an annotation names nothing, or a type has no JSON form.
        """
        if self._adapter is not None:
            return self._adapter
        hints = self.hints()
        fields = {name: hints.get(name, Any) for name in self.names}
        try:
            arguments = _typed_dict(fields)
            arguments.__pydantic_config__ = {**JSON_CONFIG, "extra": "forbid"}
            adapter: TypeAdapter[Any] = TypeAdapter(arguments)
        except Exception as error:
            raise DefinitionError(self._untypable(fields, error)) from error
        try:
            prepare(self.returns)
        except PayloadError as error:
            msg = f"{self.owner}: its result cannot be stored: {error}"
            raise DefinitionError(msg) from error
        # pydantic reads how to write a NaN from the converter, not from the `TypedDict`.
        config = CoreConfig(ser_json_bytes="base64", ser_json_inf_nan="constants")
        self._delicate = not all(map(is_kept, fields.values()))
        self._serializer = SchemaSerializer(adapter.core_schema, config)
        self._read = reader(adapter)
        types = tuple(fields.values())
        if self.positional == self.names and all(isinstance(t, type) and t in EXACT for t in types):
            self._exact = types
        self._adapter = adapter  # last: it tells other threads that all is there
        return adapter

    def hints(self) -> dict[str, Any]:
        """Resolve the annotations of parameters and result, once.

        Not that of the context: its type is often imported for checkers only.
        """
        if self._hints:
            return self._hints
        plain: Any = inspect.unwrap(self.fn)
        wanted = {*self.names, "return"}
        holder = SimpleNamespace(
            __annotations__={k: v for k, v in plain.__annotations__.items() if k in wanted},
            __type_params__=getattr(plain, "__type_params__", ()),
        )
        names, local = getattr(plain, "__globals__", {}), dict(self._locals)
        local |= {each.__name__: each for each in holder.__type_params__}  # Python 3.12 does not
        try:
            found = get_type_hints(holder, names, local, include_extras=True)
        except Exception as error:
            msg = f"{self.owner}: an annotation cannot be resolved: {first_line(error)}"
            raise DefinitionError(msg) from error
        for what, hint in found.items():
            if variable := _free_variable(hint):
                shown = "its result" if what == "return" else f"parameter {what!r}"
                msg = (
                    f"{self.owner} is generic: {shown} is declared with the type variable "
                    f"{variable}, and whoever reads it back is not told what that was. Name the "
                    "type, or write one definition for each"
                )
                raise DefinitionError(msg)
        found.setdefault("return", Any)
        returns = found["return"]
        self.returns = Any if returns in _NEVER else returns
        self._hints = found
        return found

    def forget_locals(self) -> None:
        """Let go of what annotations were resolved by, now that they are."""
        self._locals = dict[str, Any]()

    def _untypable(self, fields: dict[str, Any], error: Exception) -> str:
        """Name the parameter whose type pydantic cannot convert."""
        for name, hint in fields.items():
            try:
                TypeAdapter(alone(hint))
            except Exception as cause:  # noqa: BLE001  whatever it is, it is the answer
                return (
                    f"{self.owner}: parameter {name!r} is declared {type_name(hint)}, which has no "
                    f"JSON form: {first_line(cause)}"
                )
        return f"{self.owner}: its parameters have no JSON form: {first_line(error)}"

    # ---------------------------------------------------------------- encode

    def encode(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> JsonText:
        """Encode the arguments of one call.

        Raises:
            PayloadError: an argument does not fit its type, or they are too large; named.
            TypeError: an argument is missing, unknown or given twice; named.
        """
        if self._serializer is None:
            self.resolve()
        positional = self.positional
        if kwargs or len(args) != len(self.names) or len(args) != len(positional):
            values = self._bind(args, kwargs)
        else:
            values = dict(zip(positional, args, strict=True))
        try:
            if self._delicate:
                data = self._encode_each(values)
            elif tuple(map(type, args)) == self._exact and not kwargs:
                data = to_json(values)  # no warnings to look out for, which cost a microsecond
            else:
                serializer = cast("SchemaSerializer", self._serializer)
                data = serializer.to_json(values, warnings="error")
                if b"null" in data:  # perhaps a None that its type does not allow
                    data = self._encode_each(values)
        except (PydanticSerializationError, ValueError, TypeError):
            data = self._encode_each(values)
        if len(data) > PAYLOAD_BYTES_MAX:
            raise PayloadError(self._largest(values, len(data)))
        try:
            return checked(data, f"the arguments of {self.owner}")
        except PayloadError:
            self._encode_each(values)  # names the argument
            raise

    def _bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Match arguments with parameters, as Python does, but say whose they are."""
        if len(args) > len(self.positional):
            msg = f"{self.owner} takes {len(self.positional)} positional arguments, got {len(args)}"
            raise TypeError(msg)
        values = dict(zip(self.positional, args, strict=False))
        for name, value in kwargs.items():
            if name in values:
                msg = f"{self.owner} got argument {name!r} twice"
                raise TypeError(msg)
            if name not in self.names:
                msg = f"{self.owner} has no parameter {name!r}; it has {self._listed()}"
                raise TypeError(msg)
            values[name] = value
        if missing := self.required - values.keys():
            names = ", ".join(repr(n) for n in self.names if n in missing)
            msg = f"{self.owner} lacks the argument {names}"
            raise TypeError(msg)
        return values

    def _listed(self) -> str:
        return ", ".join(repr(name) for name in self.names) or "none"

    def _encode_each(self, values: dict[str, object]) -> bytes:
        """Encode argument by argument: to prove each, and to name the one that cannot be."""
        hints = self.hints()
        parts = [
            f'"{name}":{encode(value, hints.get(name, Any), what=self._argument(name))}'
            for name, value in values.items()
        ]
        return f"{{{','.join(parts)}}}".encode()

    def _argument(self, name: str) -> str:
        return f"argument {name!r} of {self.owner}"

    def _largest(self, values: dict[str, object], total: int) -> str:
        """Name the argument that makes the call too large."""
        hints = self.hints()
        adapters: dict[str, TypeAdapter[Any]] = {
            name: TypeAdapter(alone(hints.get(name, Any))) for name in values
        }
        sizes = {n: len(adapters[n].dump_json((v,), warnings=False)) - 2 for n, v in values.items()}
        name = max(sizes, key=lambda n: sizes[n])
        if sizes[name] > PAYLOAD_BYTES_MAX:
            return too_large(self._argument(name), sizes[name])
        message = too_large(f"the arguments of {self.owner}", total)
        return f"{message} (the largest is {name!r}, {sizes[name]:,} bytes)"

    # ---------------------------------------------------------------- decode

    def decode(self, text: JsonText) -> dict[str, object]:
        """Decode the arguments of one call; parameters left out keep their defaults.

        Raises:
            PayloadError: an argument is missing, unknown, or does not fit its type; named.
        """
        if self._read is None:
            self.resolve()
        read = cast("Callable[[str], Any]", self._read)
        try:
            values = read(text)
        except ValidationError as error:
            raise PayloadError(self._undecodable(error)) from error
        if missing := self.required - values.keys():
            names = ", ".join(repr(n) for n in self.names if n in missing)
            msg = f"{self.owner} lacks the argument {names}; it was given {sorted(values)}"
            raise PayloadError(msg)
        return cast("dict[str, object]", values)

    def _undecodable(self, error: ValidationError) -> str:
        problem = error.errors(include_url=False, include_context=False)[0]
        if problem["type"] == "extra_forbidden":
            name = problem["loc"][0]
            return f"{self.owner} has no parameter {name!r}; it has {self._listed()}"
        if problem["loc"]:
            return f"argument of {self.owner} does not fit: {first_problem(error)}"
        return f"the arguments of {self.owner} are not a JSON object by name: {problem['msg']}"


def _free_variable(hint: Any) -> str | None:
    """Name a type variable that nothing binds; a generic class by itself holds anything."""
    if isinstance(hint, TypeVar):
        return str(hint)
    if isinstance(hint, type) and not isinstance(hint, GenericAlias):
        return None
    parameters = getattr(hint, "__parameters__", ())
    return str(parameters[0]) if parameters else None


def _typed_dict(fields: dict[str, Any]) -> Any:
    """Make the type of a call's arguments by name."""
    make: Any = TypedDict
    return make("Arguments", fields, total=False)


def locals_of_caller(depth: int) -> dict[str, Any]:
    """Return what the decorated function can see besides its module, for its annotations."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)
