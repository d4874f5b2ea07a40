"""What the author of an orchestration may ask for."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, cast, overload

from perdure.replay.basics import ReplayLogger
from perdure.replay.checks import checked_name
from perdure.replay.requests import QueryDecorator, UpdateDecorator, UpdateHandler
from perdure.replay.saga import Saga
from perdure.replay.seed_twins import SeedTwins
from perdure.replay.signature import locals_of_caller
from perdure.replay.steps import run_step
from perdure.replay.versions import check_version

__all__ = ["OrchestrationContext", "ReplayLogger"]


class OrchestrationContext(SeedTwins):
    """The first argument of every orchestration.

    Everything here is recorded, or derived from what is recorded, and so the same on every replay.
    """

    __slots__ = ()

    # ---------------------------------------------------------------- the execution

    def continue_as_new(
        self, *args: object, version: str | None = None, **kwargs: object
    ) -> Coroutine[Any, Any, NoReturn]:
        """End this execution and start the next, with these arguments and a fresh history.

        The code goes no further than the next `await`, so write `await ctx.continue_as_new(...)`.
        Unread events and the custom status go along; what is still running is cancelled.

        Args:
            *args: The arguments of this orchestration for its next execution.
            version: Exactly this version; by default the latest where it starts.
            **kwargs: The same by name.

        Raises:
            PayloadError: an argument does not fit its type or is too large.
            DefinitionError: `version` is not a semantic version.
        """
        arguments = self._definition.signature.encode(args, kwargs)
        if version is not None:
            check_version(self._definition.signature.owner, version)
        never: Any = self.engine.continue_as_new(self._definition.name, version, arguments)
        # A future; but only of a coroutine do checkers believe that awaiting it does not return.
        return cast("Coroutine[Any, Any, NoReturn]", never)

    continue_as_new_typed = continue_as_new

    def continue_as_new_versioned(
        self, version: str, /, *args: object, **kwargs: object
    ) -> Coroutine[Any, Any, NoReturn]:
        """`continue_as_new` at one version."""
        return self.continue_as_new(*args, version=version, **kwargs)

    def patched(self, patch: str) -> bool:
        """Tell whether this execution takes an edit of the code, named by a text of your own.

        True where it first asks at a point that no turn has passed yet; that is recorded. False
        where a recorded turn passed that point without it: the old branch goes on. The first
        answer holds for the whole execution; the next one, by continue-as-new, asks again.

        Raises:
            DefinitionError: no patch can have that name.
        """
        return self.engine.patched(checked_name("patch", patch))

    def deprecate_patch(self, patch: str) -> None:
        """Stand where `patched` stood, once no run is left that answers False.

        Runs that recorded the patch go on. When none of those is left, remove this too.

        Raises:
            DefinitionError: no patch can have that name.
        """
        self.engine.patched(checked_name("patch", patch), deprecated=True)

    def saga(self) -> Saga:
        """Open a scope that takes back what was done in it, the last first, if it ends badly.

        ::

            async with ctx.saga() as saga:
                room = await book_room(trip)
                saga.compensate(cancel_room, room)
                await charge(trip)  # if it fails, the room is cancelled
        """
        return Saga()

    # ------------------------------------------------------------------------- steps

    def step[**P, R](self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a quick synchronous function now, and keep what it came to.

        For what is not the same on every replay and needs no executor: a setting, a local clock.
        The whole turn waits for it, and so do others of this process; what takes longer than a few
        milliseconds, or must be tried again, is an activity. It may run again if the turn is lost.

        Returns:
            What it returned, by way of JSON and its annotation.

        Raises:
            ActivityError: it raised, or its result cannot be kept.
            DefinitionError: it is `async def`.
        """
        result: R = run_step(self.engine, fn, args, kwargs)
        return result

    # ----------------------------------------------------------------------- requests

    @overload
    def query[F: Callable[..., object]](self, fn: F, /) -> F: ...
    @overload
    def query(self, fn: None = None, /, *, name: str) -> QueryDecorator: ...
    def query(self, fn: Any = None, /, *, name: str | None = None) -> Any:
        """Answer queries by a function that looks at the run and changes nothing.

        ::

            @ctx.query
            def progress() -> float:
                return done / total

        Decorate before the first `await`. It may be asked between any two turns, and after the end.

        Raises:
            DefinitionError: it is `async def`, or its name or signature cannot be.
        """
        locals_ = locals_of_caller(1)

        def add(fn: Callable[..., Any]) -> Callable[..., Any]:
            self.engine.requests.add_query(fn, name, locals_)
            return fn

        return add if fn is None else add(fn)

    @overload
    def update[**P, R](self, fn: Callable[P, R], /) -> UpdateHandler[P, R]: ...
    @overload
    def update(self, fn: None = None, /, *, name: str) -> UpdateDecorator: ...
    def update(self, fn: Any = None, /, *, name: str | None = None) -> Any:
        """Answer updates by a function, sync or async, that may do all that the run may.

        ::

            @ctx.update
            async def add(item: str) -> int:
                items.append(await price(item))
                return len(items)

            @add.validator
            def check(item: str) -> None:
                if not item:
                    raise ValueError("no item")

        Decorate before the first `await`: an update that finds no handler is refused. Each runs in
        a task of its own, beside the rest. Those that are unanswered go along by continue-as-new,
        and are answered by a failure when the run ends.

        Raises:
            DefinitionError: its name or signature cannot be.
        """
        locals_ = locals_of_caller(1)

        def add(fn: Callable[..., Any]) -> UpdateHandler[..., Any]:
            return UpdateHandler(self.engine.requests.add_update(fn, name, locals_), fn)

        return add if fn is None else add(fn)

    @property
    def unfinished_updates(self) -> int:
        """How many updates are unanswered: wait for 0 before returning, if they matter."""
        return self.engine.requests.unfinished
