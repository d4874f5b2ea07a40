"""The codes: each with what it means, why it matters, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from perdure.errors import ConfigurationError
from perdure.replay.impure import CHANCE, CLOCK, ENVIRONMENT, IDS, IO, SLEEP, THREADS, Impurity

__all__ = ["RULES", "Finding", "Rule", "chosen"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked for."""

    code: str
    title: str
    why: str
    instead: str


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place where a rule does not hold."""

    path: str
    line: int
    column: int
    """From 1, as editors count."""
    code: str
    message: str
    last_line: int = 0
    """Of the statement; a suppression may stand on it."""


def _from(impurity: Impurity, title: str) -> Rule:
    why = f"Such a call {impurity.does}."
    return Rule(impurity.code, title, why, f"{impurity.remedy[0].upper()}{impurity.remedy[1:]}.")


_ALL: Final = (
    _from(CLOCK, "reads the clock"),
    _from(CHANCE, "rolls dice"),
    _from(IDS, "makes a random id"),
    _from(ENVIRONMENT, "asks the machine or its environment"),
    _from(IO, "reaches outside: files, network, processes"),
    _from(THREADS, "uses threads, processes or another event loop"),
    Rule(
        "PD107",
        "walks through a set",
        "The order of a set follows hashes, which for strings differ from process to process. "
        "Calls that are made in that order are other calls on replay.",
        "Walk through `sorted(...)`, or keep the items in a list or a dict, which have an order.",
    ),
    Rule(
        "PD108",
        "uses id() or hash()",
        "`id` is an address, and `hash` of a string is salted: both differ in every process.",
        "Compare the values themselves; for a digest use hashlib.",
    ),
    Rule(
        "PD109",
        "changes what belongs to the module",
        "What one execution leaves in a module is there for all others of that process, and gone "
        "in the next: on replay it is something else.",
        "Keep state in local variables; what the next execution needs goes through "
        "ctx.continue_as_new(...), what others need through an activity.",
    ),
    Rule(
        "PD110",
        "drops something that should be awaited",
        "An activity, child or timer that nobody awaits may fail unnoticed, and is cancelled when "
        "the orchestration ends. A coroutine that nobody awaits does not even start.",
        "Await it, or gather it with others; for an instance that outlives this one, use "
        "`.start_detached(...)`.",
    ),
    Rule(
        "PD111",
        "swallows cancellation",
        "Cancelling an instance raises CancelledError where it waits. A bare `except`, or one of "
        "BaseException or CancelledError that does not raise again, ignores the request; it also "
        "catches what the engine raises to stop the code.",
        "Catch `Exception`, or end the handler with `raise`; clean up in `finally`.",
    ),
    _from(SLEEP, "blocks the turn"),
    Rule(
        "PD113",
        "uses the client",
        "A client talks to the database at once, outside the turn; on replay it would do so again.",
        "Call the orchestration (a child), use `.start_detached(...)` or ctx.wait_event(...), or "
        "use the client in an activity.",
    ),
    Rule(
        "PD114",
        "prints or logs on every replay",
        "Lines that are written in an orchestration are written again whenever it is replayed.",
        "Use ctx.logger, which is silent on replay and names the instance.",
    ),
    Rule(
        "PD115",
        "spins",
        "`while True` without an `await` that can wait never lets the turn end; it is interrupted "
        "and its run Blocked as SpinningTurn.",
        "Await an event, a timer or an activity in the loop; let an activity compute for long.",
    ),
    Rule(
        "PD116",
        "loops for ever with one history",
        "Every round adds to the history, which is replayed from its start, until the limit "
        "blocks the run.",
        "End the execution now and then by `await ctx.continue_as_new(...)`, for instance when "
        "ctx.should_continue_as_new.",
    ),
    Rule(
        "PD201",
        "an orchestration that is no coroutine function",
        "Only an `async def` without `yield` can be suspended and gone on with.",
        "Write `async def`, and return one result.",
    ),
    Rule(
        "PD202",
        "an orchestration without its context",
        "The engine passes an OrchestrationContext as the first positional argument.",
        "Write `async def name(ctx: OrchestrationContext, ...)`, at the level of the module.",
    ),
    Rule(
        "PD203",
        "parameters without names",
        "Arguments travel by name, so that parameters can be added while instances run.",
        "Instead of *args take a list, instead of **kwargs a dict; drop the `/`.",
    ),
    Rule(
        "PD204",
        "a type without a JSON form",
        "Arguments and results are stored as JSON; functions, open files, iterators and clients "
        "cannot be.",
        "Pass what it is made from: a name, a path, a list, a dataclass.",
    ),
    Rule(
        "PD205",
        "a parameter without a type",
        "Without an annotation a value arrives as the plain JSON it was stored as: a dataclass "
        "as a dict, a datetime as a string.",
        "Annotate the parameter; `object` says that plain JSON is meant.",
    ),
    Rule(
        "PD206",
        "a default that is computed on import",
        "A default that reads a clock or rolls dice is another in every process, and is filled in "
        "again on every replay.",
        "Take None for the default and decide in the orchestration, by ctx.now() and the like.",
    ),
    Rule(
        "PD207",
        "two definitions of one name and version",
        "Which of them runs would depend on the order of imports; registering refuses it.",
        "Give the newer one a higher version=, or another name=.",
    ),
    Rule(
        "PD208",
        "a version that is none",
        "Versions are compared as semantic versions; registering refuses another form.",
        'Write three numbers: version="1.2.0".',
    ),
    Rule(
        "PD209",
        "a call of a definition where no orchestration runs",
        "Calling an activity or orchestration schedules it, which only an orchestration can do; in "
        "the body of an activity it raises.",
        "Call the plain function, `name.fn(...)`, or schedule both from the orchestration.",
    ),
    Rule(
        "PD901",
        "a suppression that suppresses nothing",
        "It would hide the next mistake on its line.",
        "Remove the comment.",
    ),
    Rule(
        "PD902",
        "a suppression without a code or a reason",
        "Whoever reads the line has to know why it is right; without that nothing is suppressed.",
        "Write `# perdure: allow PD101 because ...`.",
    ),
    Rule(
        "PD903",
        "a file that cannot be read as Python",
        "What does not parse cannot be checked.",
        "Mend the file, or run the check with the Python that it is written for.",
    ),
)

RULES: Final[dict[str, Rule]] = {rule.code: rule for rule in _ALL}
"""All rules by code, in order."""


def chosen(select: tuple[str, ...], ignore: tuple[str, ...]) -> frozenset[str]:
    """Return the codes that begin with one of `select` (none: all) and with none of `ignore`.

    Raises:
        ConfigurationError: one fits no code.
    """
    for prefix in (*select, *ignore):
        if not prefix or not any(code.startswith(prefix) for code in RULES):
            raise ConfigurationError(
                f"{prefix!r} is no code of perdure check and no beginning of one; there are "
                f"{', '.join(RULES)}"
            )
    return frozenset(
        code for code in RULES if code.startswith(select or "PD") and not code.startswith(ignore)
    )
