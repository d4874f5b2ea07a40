"""Stand-ins for the bodies of activities, checked against their signatures.

A mock that returns what the activity never could, or takes other parameters, would make a test
green that should be red. So both are refused where the mock is made.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from perdure.replay.definitions import Activity

__all__ = ["Mocks"]

_NOTHING = object()


@dataclass(slots=True)
class _Mock:
    """What one activity does instead."""

    act: Callable[..., Any]
    left: int | None
    """How many more calls; None: all."""


class Mocks:
    """Which activities are mocked, and every call of every activity."""

    def __init__(self) -> None:
        self._mocks: dict[str, list[_Mock]] = defaultdict(list)
        self.calls: dict[str, list[Mapping[str, object]]] = defaultdict(list)
        """Arguments of each attempt, by parameter name, in order; by activity."""

    def add(
        self,
        activity: Activity[..., Any],
        *,
        returns: object = _NOTHING,
        raises: BaseException | type[BaseException] | None = None,
        by: Callable[..., Any] | None = None,
        times: int | None = None,
    ) -> None:
        """Let an activity do something else, `times` times; then what was said before.

        Raises:
            TypeError: not exactly one of `returns`, `raises` and `by` is given, or `by` does not
                take the activity's parameters.
            PayloadError: `returns` is nothing that the activity could return.
        """
        if times is not None and times < 1:
            raise ValueError(
                f"A mock of activity {activity.name!r} for {times} calls would never be used; give "
                "times= at least 1, or leave it out for all"
            )
        if sum((returns is not _NOTHING, raises is not None, by is not None)) != 1:
            raise TypeError(
                f"A mock of activity {activity.name!r} needs exactly one of returns=, raises= and "
                "by="
            )
        if returns is not _NOTHING:
            activity.encode_result(returns)

            def act(**_arguments: object) -> object:
                return returns
        elif raises is not None:
            error = raises
            given = cast("object", raises)
            if not isinstance(given, BaseException | type):
                raise TypeError(
                    f"A mock of activity {activity.name!r} cannot raise {error!r}; give raises= an "
                    "exception or its class"
                )

            def act(**_arguments: object) -> object:
                raise error
        else:
            act = _checked(activity, by)
        self._mocks[activity.name].append(_Mock(act, times))

    def around(self, activity: Activity[..., Any]) -> Activity[..., Any]:
        """Return a copy of an activity that can be mocked, and whose calls are noted."""
        body, wants_context = activity.fn, activity.wants_context

        async def run(*context: object, **arguments: object) -> object:
            self.calls[activity.name].append(arguments)
            mock = self._next(activity.name)
            if mock is None:
                result = body(*context, **arguments)
            elif wants_context and "ctx" in inspect.signature(mock).parameters:
                result = mock(*context, **arguments)
            else:
                result = mock(**arguments)
            return await result if inspect.isawaitable(result) else result

        return activity.with_body(run)

    def _next(self, name: str) -> Callable[..., Any] | None:
        for mock in reversed(self._mocks[name]):
            if mock.left is None:
                return mock.act
            if mock.left > 0:
                mock.left -= 1
                return mock.act
        return None


def _checked(activity: Activity[..., Any], by: Callable[..., Any] | None) -> Callable[..., Any]:
    assert by is not None  # noqa: S101  one of three is
    wanted = list(inspect.signature(activity.fn).parameters)
    if activity.wants_context:
        wanted = wanted[1:]
    found = inspect.signature(by)
    try:
        context = ["ctx"] if activity.wants_context and "ctx" in found.parameters else []
        found.bind(*context, **dict.fromkeys(wanted))
    except TypeError as error:
        raise TypeError(
            f"A mock of activity {activity.name!r} must take its parameters by name "
            f"({', '.join(wanted) or 'none'}); {found} does not: {error}"
        ) from error
    return by
