"""The conditions that choose instances, as options of every command that takes some.

A command that takes them has a parameter `where`; `takes_conditions` puts the options in its
place, so that `list`, `export` and the steering of many understand the same words.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_type_hints

import typer

from perdure.cli.inputs import parse_value
from perdure.cli.spans import parse_time
from perdure.client.queries import Where
from perdure.errors import ConfigurationError
from perdure.providers.reading import InstanceStatus

__all__ = ["AttributeOption", "StatusOption", "parse_attributes", "parse_statuses"]
__all__ += ["takes_conditions"]

_PANEL = "Which instances"

StatusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="STATUS",
        help=f"Only these ({', '.join(InstanceStatus)}); may be repeated or a comma list.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="NAME=VALUE",
        help="Only those that have it; may be repeated, and then all must hold.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


def _text(flag: str, metavar: str, said: str) -> Any:
    return typer.Option(
        flag, metavar=metavar, help=said, rich_help_panel=_PANEL, show_default=False
    )


def _where(
    *,
    name: Annotated[str | None, _text("--name", "NAME", "Only of this orchestration.")] = None,
    version: Annotated[str | None, _text("--version", "V", "Only of this version.")] = None,
    status: StatusOption = None,
    prefix: Annotated[
        str | None, _text("--prefix", "TEXT", "Only ids that start with this.")
    ] = None,
    parent: Annotated[
        str | None, _text("--parent", "INSTANCE", "Only the children of this one.")
    ] = None,
    roots: Annotated[
        bool, typer.Option("--roots", help="Only those without a parent.", rich_help_panel=_PANEL)
    ] = False,
    tenant: Annotated[str | None, _text("--tenant", "TENANT", "Only of this tenant.")] = None,
    since: Annotated[
        str | None, _text("--since", "WHEN", "Created then or later: a time, or 2h ago as 2h.")
    ] = None,
    until: Annotated[str | None, _text("--until", "WHEN", "Created before then.")] = None,
    ended_since: Annotated[
        str | None, _text("--ended-since", "WHEN", "Ended then or later.")
    ] = None,
    ended_until: Annotated[str | None, _text("--ended-until", "WHEN", "Ended before then.")] = None,
    attribute: AttributeOption = None,
) -> Where:
    where: Where = {}
    texts = {"name": name, "version": version, "prefix": prefix, "parent": parent, "tenant": tenant}
    times = {
        "created_after": ("--since", since),
        "created_before": ("--until", until),
        "finished_after": ("--ended-since", ended_since),
        "finished_before": ("--ended-until", ended_until),
    }
    for key, text in texts.items():
        if text is not None:
            where[key] = text  # type: ignore[literal-required]  # the table above has only such keys
    for key, (option, text) in times.items():
        if text is not None:
            where[key] = parse_time(text, option=option)  # type: ignore[literal-required]  # see above
    if statuses := parse_statuses(status):
        where["statuses"] = statuses
    if roots:
        where["roots"] = True
    if attribute:
        where["attributes"] = parse_attributes(attribute)
    return where


def takes_conditions(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `Where` in place of its parameter `where`."""
    offered = _parameters(_where)
    own = [parameter for parameter in _parameters(command) if parameter.name != "where"]

    def wrapped(**options: Any) -> None:
        chosen = {one.name: options.pop(one.name) for one in offered}
        command(where=_where(**chosen), **options)

    wrapped.__signature__ = inspect.Signature([*own, *offered])  # type: ignore[attr-defined]  # typer looks here
    wrapped.__annotations__ = {one.name: one.annotation for one in (*own, *offered)}
    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    return wrapped


def _parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    hints = get_type_hints(function, include_extras=True)
    return [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in inspect.signature(function).parameters.values()
    ]


def parse_statuses(given: Sequence[str] | None) -> tuple[InstanceStatus, ...]:
    """Read statuses, whatever their case.

    Raises:
        ConfigurationError: One of them is none.
    """
    by_name = {status.value.lower(): status for status in InstanceStatus}
    words = [word for text in given or () for word in text.split(",") if word]
    unknown = [word for word in words if word.lower() not in by_name]
    if unknown:
        raise ConfigurationError(
            f"There is no status {', '.join(unknown)}; there are {', '.join(InstanceStatus)}"
        )
    return tuple(by_name[word.lower()] for word in words)


def parse_attributes(pairs: Sequence[str]) -> dict[str, object]:
    """Read NAME=VALUE, where VALUE is JSON or else a string.

    Raises:
        ConfigurationError: One has no `=`, or a name is there twice.
    """
    attributes: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"{pair!r} is no attribute: write NAME=VALUE")
        if name in attributes:
            raise ConfigurationError(f"The attribute {name!r} is given twice")
        attributes[name] = parse_value(text)
    return attributes
