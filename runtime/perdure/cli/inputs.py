"""Input of an orchestration, or data of an event, as people type it.

An orchestration's input is one JSON object with its arguments by name. It is given whole
(`--input '{"name": "Ada"}'`, `--input @order.json`, `--input -` for standard input) or argument by
argument (`name=Ada count=3`): a value that reads as JSON is taken as JSON, any other as a string.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast, get_type_hints

from perdure.errors import ConfigurationError
from perdure.model.ids import JsonText

__all__ = ["parse_arguments", "parse_value", "read_json"]


def read_json(text: str, *, option: str) -> object:
    """Read JSON as given, from a file (`@path`) or from standard input (`-`).

    Raises:
        ConfigurationError: It cannot be read or is no JSON; the message shows where.
    """
    source = option
    try:
        if text == "-":
            source = f"{option} (standard input)"
            text = sys.stdin.read()
        elif text.startswith("@"):
            source = f"{option} ({text[1:]})"
            text = Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{source} cannot be read: {error}") from error
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 20) : error.pos + 20]
        raise ConfigurationError(
            f"{source} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}, "
            f"near {near!r}. A string needs its double quotes: '\"text\"'"
        ) from error
    return value


def parse_value(text: str, *, is_string: bool = False) -> object:
    """Read a value as JSON where it is some, else as the string it is."""
    if is_string:
        return text
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError:
        return text
    return value


def parse_arguments(
    given: str | None, pairs: Sequence[str], function: Callable[..., object] | None = None
) -> JsonText:
    """Make the arguments of an orchestration: one JSON object.

    With `function` at hand, the value of a parameter annotated as `str` is never read as
    JSON, and an `--input` that is no object goes to the only parameter.

    Raises:
        ConfigurationError: The input is no JSON, both forms are given, a pair lacks its `=`, or a
            name is there twice.
    """
    if given is not None and pairs:
        raise ConfigurationError(
            f"Give either --input or arguments by name ({pairs[0]!r}), not both"
        )
    arguments = (
        _arguments_of(read_json(given, option="--input"), function)
        if given is not None
        else _pairs(pairs, _string_parameters(function))
    )
    return JsonText(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))


def _arguments_of(value: object, function: Callable[..., object] | None) -> Mapping[str, object]:
    names = _parameters(function)
    given: object = value
    if isinstance(given, dict):
        arguments = cast("dict[str, object]", given)
        if len(names) != 1 or set(arguments) <= set(names):
            return arguments
    if len(names) == 1:
        return {names[0]: value}
    expected = f"an object with {', '.join(names)}" if names else "an object"
    raise ConfigurationError(
        f"--input is {json.dumps(value, ensure_ascii=False)[:60]}; "
        f"expected {expected}: the arguments by name"
    )


def _pairs(pairs: Sequence[str], strings: frozenset[str]) -> dict[str, object]:
    arguments: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigurationError(
                f"{pair!r} is no argument: write NAME=VALUE, or the whole input as --input JSON"
            )
        if name in arguments:
            raise ConfigurationError(f"The argument {name!r} is given twice")
        arguments[name] = parse_value(text, is_string=name in strings)
    return arguments


def _parameters(function: Callable[..., object] | None) -> tuple[str, ...]:
    """Names of the parameters that input fills: all but the context, which comes first."""
    if function is None:
        return ()
    return tuple(inspect.signature(function).parameters)[1:]


def _string_parameters(function: Callable[..., object] | None) -> frozenset[str]:
    if function is None:
        return frozenset()
    return frozenset(name for name, hint in _hints(function).items() if hint is str)


def _hints(function: Callable[..., object]) -> Mapping[str, object]:
    try:
        return get_type_hints(function)
    except Exception:  # noqa: BLE001  evaluates the author's annotations: they may raise anything
        return {}
