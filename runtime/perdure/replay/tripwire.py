"""The tripwire: a call that a replay cannot repeat is caught where it is made.

Three snares, because no one of them sees everything, and each where it costs least.

*Calls in the author's code.* `sys.monitoring` tells of every call in the code objects that it is
asked to watch, and of nothing elsewhere. Watched are the functions of the modules that define
orchestrations, and from there, by following calls, of every module of the author's. So a clock
that is read by the standard library, by pydantic or by a log handler is never seen: nobody watches
there. What the author calls is looked up by its name in `perdure.replay.impure`.

*Functions that others call on the author's behalf.* `default_factory=uuid4` is called by pydantic
or a dataclass, `os.environ["X"]` is no call at all, and a library that fetches a page opens a
socket somewhere deep. The few functions written in Python that all this goes through are watched
themselves: when one starts, the frames tell for whom.

*What reaches the operating system.* An audit hook hears of files, sockets, processes and threads,
whoever asks for them, in C too. It also hears of much that is of no interest, four times in every
turn, and cannot be taken out again: so it is put in only where the policy is `ERROR`. Those who
open files by the way and mean no harm (imports, log handlers, tracebacks, time zones) are excused.

All of them only mind a turn: one that runs in this context now, neither closed nor silenced. The
context variable of the running orchestration says so, and is empty in every other thread.

What a finding does is the execution's policy. `WARN` logs once for each place, and looks at each
place once: the interpreter then runs it at full speed, so that production pays nothing. `ERROR`
looks every time and parks the run, which is right for tests. A line with `# perdure: allow PD101
reason` is allowed here as it is in `perdure check`.
"""

from __future__ import annotations

import functools
import linecache
import logging
import re
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perdure.errors import ForbiddenCallError
from perdure.model.strictness import TripwirePolicy
from perdure.replay.current import CURRENT
from perdure.replay.impure import (
    CHANCE,
    ENVIRONMENT,
    IDS,
    IO,
    SLEEP,
    THREADS,
    Impurity,
    impurity_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perdure.replay.engine import Engine

__all__ = ["watch"]

_LOGGER = logging.getLogger("perdure.orchestration")


class _Site(NamedTuple):
    """A place in the author's code."""

    file: str
    line: int
    last_line: int


# ------------------------------------------------------------------ whose code is it

_OURS: Final = "perdure"
_VIRTUAL: Final = ("<string>", "<attrs")
"""Files of functions that a decorator has generated: they stand for whoever called them."""
_INSTALLED: Final = ("/site-packages/", "/dist-packages/", "\\site-packages\\")
_EXCUSED: Final = frozenset(
    {
        "_frozen_importlib", "_frozen_importlib_external", "asyncio", "encodings", "gettext",
        "importlib", "inspect", "linecache", "locale", "logging", "pkgutil", "tokenize",
        "traceback", "warnings", "zipimport", "zoneinfo",
    }
)  # fmt: skip
"""Packages that open files by the way; what they find there decides nothing. A loop of asyncio's
own opens sockets, but to wait for one is refused anyway, and in better words."""
_MAKERS: Final = frozenset(
    {
        "_collections_abc", "attr", "attrs", "collections", "dataclasses", "functools", "msgspec",
        "pydantic", "uuid",
    }
)  # fmt: skip
"""Packages that call on the author's behalf what makes ids."""
_BETWEEN: Final = {
    ENVIRONMENT: frozenset({"_collections_abc", "collections", "os"}),
    IDS: _MAKERS,
}
"""Who may stand between the author and such a call; for the others, anybody."""

_roots: set[str] = set()
"""Packages of the author's that are installed like anybody's."""
_known: dict[str, bool] = {}


def _is_authors(module: str, file: str) -> bool:
    """Tell whether code is the author's own: not Python's, not ours, not an installed package."""
    known = _known.get(module)
    if known is None:
        top = module.partition(".")[0]
        installed = any(part in file for part in _INSTALLED) or file.startswith("<frozen")
        known = _known[module] = top in _roots or not (
            top == _OURS or top in sys.stdlib_module_names - {"__main__"} or installed
        )
    return known


_frame: Final[Callable[[int], types.FrameType]] = vars(sys)["_getframe"]


def _module_of(frame: types.FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _site_of(frame: types.FrameType) -> _Site:
    """Name a place; of generated code, the place that called it."""
    while frame.f_code.co_filename.startswith(_VIRTUAL) and frame.f_back is not None:
        frame = frame.f_back
    line, last = frame.f_lineno, frame.f_lineno
    positions = list(frame.f_code.co_positions())
    if 0 <= frame.f_lasti // 2 < len(positions):
        first, end, _, _ = positions[frame.f_lasti // 2]
        line, last = first or line, end or last
    return _Site(frame.f_code.co_filename, line, last)


def _walk(frame: types.FrameType | None) -> Iterator[types.FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_importing(frame: types.FrameType | None) -> bool:
    """Tell whether a module is being imported on the way: what it does then is done once."""
    for each in _walk(frame):
        top = _module_of(each).partition(".")[0]
        if top in {"importlib", "_frozen_importlib"}:
            return True
        if top == _OURS:
            return False
    return False


# ------------------------------------------------------------------ the running turn


def _engine() -> Engine | None:
    """Return the engine of the turn that runs in this context, if it is to be minded."""
    context = CURRENT.get()
    if context is None:
        return None
    engine = context.engine
    if engine.closed or engine.tripwire is TripwirePolicy.OFF:
        return None
    if engine.is_silenced or engine.is_reading:  # nothing that code decides now is kept
        return None
    return engine if engine.loop.running else None


_told: set[tuple[str, int, str]] = set()
_ALLOW: Final = re.compile(r"#\s*perdure:\s*allow\s+(?P<codes>PD\d+(?:\s*,\s*PD\d+)*)\b.*?\w{3}")


def _trip(engine: Engine, impurity: Impurity, shown: str, site: _Site) -> None:
    """Do what the policy says about one call.

    Raises:
        ForbiddenCallError: by policy `ERROR`.
    """
    key = (site.file, site.line, impurity.code)
    is_warning = engine.tripwire is TripwirePolicy.WARN
    if (is_warning and key in _told) or _is_allowed(site, impurity.code):
        return
    place = "/".join(site.file.replace("\\", "/").rsplit("/", 2)[-2:])
    message = (
        f"instance {engine.instance!r}, at {place}:{site.line}: {shown} {impurity.does}: "
        f"{impurity.remedy}. If it is right there, say so on its line: "
        f"`# perdure: allow {impurity.code} because ...`"
    )
    if not is_warning:
        error = ForbiddenCallError(message)
        engine.block(error)
        raise error
    _told.add(key)
    _LOGGER.warning("%s", message, extra=engine.log_fields())


def _is_allowed(site: _Site, code: str) -> bool:
    """Look for the comment that allows a call, on its lines or right above."""
    first = site.line
    while linecache.getline(site.file, first - 1).lstrip().startswith("#"):
        first -= 1
    for number in range(first, site.last_line + 1):
        found = _ALLOW.search(linecache.getline(site.file, number))
        if found is not None and code in found["codes"]:
            return True
    return False


# ------------------------------------------------------------------ calls in the author's code

_MISSING: Final = sys.monitoring.MISSING
_MODULES: Final = {
    "_io": "io", "_pydatetime": "datetime", "_random": "random", "_socket": "socket",
    "_thread": "threading", "genericpath": "os.path", "nt": "os", "ntpath": "os.path",
    "pathlib._local": "pathlib", "pathlib._abc": "pathlib", "posix": "os", "posixpath": "os.path",
    "_time": "time", "_uuid": "uuid",
}  # fmt: skip
"""Where a function says it is from, and where it is documented."""
_harmless: set[object] = set()
"""Functions and classes that have been looked at and followed: what most calls are of."""
_HARMLESS_MAX: Final = 10_000
"""Functions made at run time would fill it; it is then begun anew."""
_done: object = sys.monitoring.DISABLE
"""What a callback returns when it need not see the place again; None under policy `ERROR`."""


def _on_call(_code: types.CodeType, _offset: int, function: object, first: object) -> object:
    """Look at one call in watched code, before it is made."""
    kind = type(function)
    is_plain = kind is types.FunctionType or kind is type or kind is types.BuiltinFunctionType
    if is_plain and type(first) is not types.FunctionType and function in _harmless:
        return _done
    try:
        impurity, shown = _judge(function, first)
        _follow(function)
        _follow(first)
    except Exception:  # noqa: BLE001  of a strange object's attributes: it is not ours to fail
        return _done
    if impurity is not None:
        engine = _engine()
        if engine is None:
            return None  # an activity may; a turn may yet come by here
        frame = _frame(1)  # which makes the call
        if not _is_importing(frame):
            _trip(engine, impurity, shown, _site_of(frame))
    elif is_plain and (kind is not types.BuiltinFunctionType or _is_of_module(function)):
        if len(_harmless) >= _HARMLESS_MAX:
            _harmless.clear()
        _harmless.add(function)
    return _done


def _is_of_module(function: Any) -> bool:
    """Tell a function of a C module, which stays, from a method that was bound for one call."""
    return isinstance(function.__self__, types.ModuleType)


def _judge(function: object, first: object) -> tuple[Impurity | None, str]:
    """Say what is wrong with a call, and how to show it."""
    kind = type(function)
    if isinstance(function, types.FunctionType):
        return _verdict(function)
    if kind is types.MethodType:
        return _judge_method(function)
    if kind is types.BuiltinFunctionType:
        return _judge_builtin(function)
    if isinstance(function, type):
        if first is _MISSING and function is getattr(sys.modules.get("random"), "Random", None):
            return CHANCE, "random.Random()"
        return _verdict(function)
    wrapped = getattr(function, "func", None) if kind.__name__ == "partial" else None
    return _judge(wrapped, first) if callable(wrapped) else (None, "")


def _verdict(function: object) -> tuple[Impurity | None, str]:
    """Look a function or class up by the name that it gives itself."""
    module = str(getattr(function, "__module__", None) or "")
    name = f"{_MODULES.get(module, module)}.{getattr(function, '__qualname__', '')}"
    name = name.replace("pathlib.PathBase.", "pathlib.Path.")
    return _impurity(name), f"{name.removeprefix('io.')}()"


def _impurity(name: str) -> Impurity | None:
    """Look a name up; threads and other packages are the audit hook's, which sees what they do."""
    if name.partition(".")[0] not in sys.stdlib_module_names:
        return None
    found = impurity_of(name)
    return None if found is THREADS else found


def _judge_method(method: Any) -> tuple[Impurity | None, str]:
    """Judge a bound method: the functions of `random` are those of a hidden generator."""
    owner, name = method.__self__, method.__func__.__name__
    if owner is _hidden_generator():
        return CHANCE, f"random.{name}()"
    if isinstance(owner, type):
        return _verdict(method)
    return None, ""


def _hidden_generator() -> object:
    return getattr(sys.modules.get("random"), "_inst", _MISSING)


def _judge_builtin(function: Any) -> tuple[Impurity | None, str]:
    """Judge a function written in C, or a method of one object or class."""
    owner = function.__self__
    if isinstance(owner, types.ModuleType):
        return _verdict(function)
    if owner is _hidden_generator():
        return CHANCE, f"random.{function.__name__}()"
    if isinstance(owner, type):
        for base in owner.__mro__:
            if base.__module__ == "datetime":
                name = f"datetime.{base.__name__}.{function.__name__}"
                return _impurity(name), f"{name}()"
    return None, ""


# ------------------------------------------------------------------ what is watched

_tool = -1
_is_armed = False
_is_hooked = False
_orchestrations: set[object] = set()
_watched: dict[int, types.CodeType] = {}
"""By id, for code that looks the same is not the same; held, so that ids last."""
_modules: set[str] = set()
_WRAPPERS: Final[dict[type[Any], str]] = {
    staticmethod: "__func__",
    classmethod: "__func__",
    property: "fget",
    functools.cached_property: "func",
    type(functools.lru_cache(int)): "__wrapped__",
}
"""Where these keep the function. Of other objects nothing is asked: an answer may be work."""


def watch(function: Callable[..., object], policy: TripwirePolicy) -> None:
    """Watch the calls in an orchestration's function and in all that it calls, from now on."""
    if policy is TripwirePolicy.OFF:
        return
    if policy is TripwirePolicy.ERROR and not _is_hooked:
        _look_always()
    if function in _orchestrations:
        return
    if len(_orchestrations) >= _HARMLESS_MAX:
        _orchestrations.clear()
    _orchestrations.add(function)
    if not _is_armed:
        _arm()
    chain: list[types.FunctionType] = []
    inner: object = function
    while isinstance(inner, types.FunctionType):  # what decorators have put around it, too
        chain.append(inner)
        inner = getattr(inner, "__wrapped__", None)
    if chain:
        top = _home_of(chain[-1]).partition(".")[0]
        if top not in _roots and top != _OURS:
            _roots.add(top)
            _known.clear()
    for each in chain:
        _follow(each)
    _watch_starters()


def _home_of(function: types.FunctionType) -> str:
    """Name the module that a function was written in, whatever a decorator makes it say."""
    return str(function.__globals__.get("__name__", ""))


def _look_always() -> None:
    """Look at every call, and at what reaches the system: this process tests."""
    global _done, _is_hooked  # noqa: PLW0603  one interpreter, one tripwire
    _is_hooked = True
    _done = None
    sys.monitoring.restart_events()
    sys.addaudithook(_on_audit)


def _arm() -> None:
    """Take a place among the tools of this interpreter, if there is one."""
    global _tool, _is_armed  # noqa: PLW0603  as above
    _is_armed = True
    events = sys.monitoring.events
    for number in (4, 3):  # the others are for debuggers, coverage, profilers and optimizers
        if sys.monitoring.get_tool(number) is None:
            sys.monitoring.use_tool_id(number, "perdure tripwire")
            sys.monitoring.register_callback(number, events.CALL, _on_call)
            sys.monitoring.register_callback(number, events.PY_START, _on_start)
            _tool = number
            return
    _LOGGER.warning("other tools leave no room in sys.monitoring: the tripwire is not set")


def _watch_code(code: types.CodeType) -> None:
    """Watch a code object and those of the functions in it."""
    if _tool < 0 or id(code) in _watched:
        return
    _watched[id(code)] = code
    sys.monitoring.set_local_events(_tool, code, sys.monitoring.events.CALL)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _watch_code(constant)


def _watch_module(name: str) -> None:
    """Watch all functions and methods that a module of the author's defines."""
    module = sys.modules.get(name)
    if name in _modules or module is None:
        return
    _modules.add(name)
    for value in list(vars(module).values()):
        _watch_value(value, name)


def _watch_value(value: object, module: str) -> None:
    """Watch what is behind a name: a function, what a decorator has wrapped, or a whole class."""
    if isinstance(value, type):
        if value.__module__ == module:
            for each in list(vars(value).values()):
                if not isinstance(each, type):
                    _watch_value(each, module)
        return
    attribute = _WRAPPERS.get(type(value))
    if attribute is not None:
        value = getattr(value, attribute)
    while isinstance(value, types.FunctionType):
        if _home_of(value) == module:
            _watch_code(value.__code__)
        value = getattr(value, "__wrapped__", None)


def _follow(value: object) -> None:
    """Watch what is about to be called, if it is the author's and not watched yet."""
    if isinstance(value, types.MethodType):
        value = value.__func__
    if isinstance(value, types.FunctionType):
        module = _home_of(value)
        if _is_authors(module, value.__code__.co_filename):
            _watch_code(value.__code__)
            _watch_module(module)
    elif isinstance(value, type) and value.__module__ not in _modules:
        file = str(getattr(sys.modules.get(value.__module__), "__file__", None) or "<frozen")
        if _is_authors(value.__module__, file):
            _watch_module(value.__module__)


# ------------------------------------------------------------------ functions called for others


_STARTERS: Final[dict[str, Impurity]] = {
    "os._Environ.__getitem__": ENVIRONMENT,
    "os._Environ.__iter__": ENVIRONMENT,
    "os._Environ.__len__": ENVIRONMENT,
    "uuid.uuid1": IDS,
    "uuid.uuid4": IDS,
    "uuid.uuid6": IDS,
    "uuid.uuid7": IDS,
    "os.popen": IO,
    "pathlib.Path.open": IO,
    "socket.create_connection": IO,
    "socket.getaddrinfo": IO,
    "socket.socket.__init__": IO,
    "subprocess.Popen.__init__": IO,
    "tempfile.mkdtemp": IO,
    "tempfile.mkstemp": IO,
    "threading.Thread.start": THREADS,
}
_started: dict[types.CodeType, tuple[str, Impurity]] = {}


def _watch_starters() -> None:
    """Watch those of the functions above whose modules have been imported by now."""
    for name, impurity in _STARTERS.items():
        module, _, path = name.partition(".")
        found: Any = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        if _tool >= 0 and isinstance(found, types.FunctionType) and found.__code__ not in _started:
            shown = name.replace("_Environ.__getitem__", "environ").removesuffix(".__init__")
            _started[found.__code__] = (shown, impurity)
            sys.monitoring.set_local_events(_tool, found.__code__, sys.monitoring.events.PY_START)


def _on_start(code: types.CodeType, _offset: int) -> object:
    """Look for whom one of these functions has been called."""
    engine = _engine()
    if engine is None or code not in _started:
        return None
    shown, impurity = _started[code]
    through = _BETWEEN.get(impurity)
    for frame in _walk(_frame(2)):
        module = _module_of(frame)
        top = module.partition(".")[0]
        if _is_authors(module, frame.f_code.co_filename):
            if not _is_importing(frame):
                called = "os.environ" if impurity is ENVIRONMENT else f"{shown}()"
                _trip(engine, impurity, called, _site_of(frame))
            return None
        if top == _OURS or top in _EXCUSED or (through is not None and top not in through):
            return None
    return None


# ------------------------------------------------------------------ what reaches the system

_EVENTS: Final[dict[str, Impurity]] = {
    **dict.fromkeys(
        [
            "open",
            "os.listdir",
            "os.scandir",
            "os.mkdir",
            "os.rmdir",
            "os.remove",
            "os.rename",
            "os.link",
            "os.symlink",
            "os.truncate",
            "os.chmod",
            "os.chown",
            "os.utime",
            "os.system",
            "os.exec",
            "os.fork",
            "os.forkpty",
            "os.posix_spawn",
            "os.spawn",
            "os.kill",
            "os.killpg",
            "pty.spawn",
            "subprocess.Popen",
            "socket.__new__",
            "socket.connect",
            "socket.bind",
            "socket.sendto",
            "socket.sendmsg",
            "socket.getaddrinfo",
            "socket.gethostbyname",
            "socket.gethostbyaddr",
            "socket.getnameinfo",
            "urllib.Request",
            "http.client.connect",
            "smtplib.connect",
            "ftplib.connect",
            "sqlite3.connect",
            "mmap.__new__",
            "webbrowser.open",
            "builtins.input",
            "tempfile.mkstemp",
            "tempfile.mkdtemp",
        ],
        IO,
    ),
    **dict.fromkeys(["os.putenv", "os.unsetenv", "os.chdir", "socket.gethostname"], ENVIRONMENT),
    **dict.fromkeys(["_thread.start_new_thread", "_thread.start_joinable_thread"], THREADS),
    "time.sleep": SLEEP,
}
_ZONES: Final = "zoneinfo"
"""In the path of a file of time zones, which C code opens past all frames."""
_NAMES: Final = {
    "_thread.start_new_thread": "starting a thread",
    "_thread.start_joinable_thread": "starting a thread",
    "socket.__new__": "opening a socket",
}


def _on_audit(
    event: str, arguments: tuple[Any, ...], events: Any = _EVENTS, current: Any = CURRENT
) -> None:
    """Hear what anybody asks of the system. Holds what it needs: it outlives this module."""
    if event not in events or current.get() is None:
        return
    engine = _engine()
    if engine is None or _ZONES in str(arguments[:1]):
        return
    for frame in _walk(_frame(1)):
        module = _module_of(frame)
        top = module.partition(".")[0]
        if top in _EXCUSED or top in {_OURS, "pydantic"}:
            return
        if _is_authors(module, frame.f_code.co_filename):
            if not _is_importing(frame):
                _trip(engine, events[event], _shown(event, arguments), _site_of(frame))
            return


def _shown(event: str, arguments: tuple[Any, ...]) -> str:
    if event in _NAMES:
        return _NAMES[event]
    first = next((repr(each) for each in arguments if isinstance(each, str | int)), "")
    return f"{event}({first[:80]})"
