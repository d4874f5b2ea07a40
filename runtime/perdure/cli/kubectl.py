"""`kubectl perdure`: the same commands, run inside the cluster.

The database is seldom reachable from a desk, and its password has no business there. So the plugin
runs `perdure` in a pod of the release that has the database already, by `kubectl exec`: whoever may
exec into that pod may use it, and nobody else. A replay pod is preferred (it has no Kubernetes
token), a pod of the operator is the second choice.

Where a command takes an instance, the name of an Orchestration object does too: its status tells
the instance. Files that the command line names with `@` are read here and sent along, and so are
those of `export` and `import`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from perdure.cli.exits import ClusterError, ExitCode
from perdure.errors import ConfigurationError

__all__ = ["FLAGS_WITHOUT_VALUE", "LOCAL", "PLUGIN_NAMES", "run_in_cluster"]

PLUGIN_NAMES = ("kubectl-perdure", "kubectl_perdure")

_HELP = """\
Run perdure inside the cluster, where its database is.

Usage: kubectl perdure COMMAND [ARGUMENT]... [FLAGS]

Where a command takes INSTANCE, the name of an Orchestration object will do as well.

  kubectl perdure list --status Running
  kubectl perdure tree order-1001 -n shop
  kubectl perdure event raise order-1001 approved '{"by": "ada"}'

Flags of the plugin (all others go to perdure; see perdure COMMAND --help):
  -n, --namespace NAME       of the Orchestration objects, and looked into first for a pod
  --release-namespace NAME   where Perdure is installed; by default it is looked for
  --pod NAME                 exec into this pod (in --release-namespace, else --namespace)
  --context NAME, --kubeconfig FILE   as in kubectl

Exit codes are those of perdure; 5 when the cluster, or a pod to run in, cannot be reached.
"""

_COMPONENTS = ("replayer", "operator")
"""Of pods that have the database, best first."""
_SELECTOR = "app.kubernetes.io/name=perdure"
_COMPONENT_LABEL = "app.kubernetes.io/component"
_ARCHIVES = {"export", "import"}
LOCAL = {"run", "check", "replay", "bench", "executor", "replayer"}
_OF_AN_INSTANCE = {"get", "history", "tree", "watch", "result", "query", "update", "rerun"}
_OF_INSTANCES = {"cancel", "terminate", "suspend", "resume", "delete", "prune", "export"}
_GROUPS_OF_AN_INSTANCE = {"event", "kv"}
"""Their commands take one after the second word."""
FLAGS_WITHOUT_VALUE = frozenset(
    {"--ahead", "--all", "--count", "--debug", "--dry-run", "--force", "--help", "-h", "--no-roles"}
    | {"--no-wait", "--none", "--raw", "--roles", "--roots", "--untagged", "--wait", "--yes", "-y"}
)
"""Of the commands that run in the cluster; the word after any other option is its value."""
_VALUE_FLAGS = {
    "-n": "namespace",
    "--namespace": "namespace",
    "--release-namespace": "release_namespace",
    "--pod": "pod",
    "--context": "context",
    "--kubeconfig": "kubeconfig",
}
_FILE_FLAGS = {"--input", "-i", "--data", "--details"}
_OUT_FLAGS = {"--file", "-f"}


@dataclass(slots=True)
class _Flags:
    namespace: str | None = None
    release_namespace: str | None = None
    pod: str | None = None
    context: str | None = None
    kubeconfig: str | None = None

    def of_kubectl(self) -> list[str]:
        """The flags that every call of kubectl gets."""
        flags: list[str] = []
        if self.context:
            flags += ["--context", self.context]
        if self.kubeconfig:
            flags += ["--kubeconfig", self.kubeconfig]
        return flags


@dataclass(frozen=True, slots=True)
class _Pod:
    namespace: str
    name: str
    container: str | None


def run_in_cluster(words: Sequence[str]) -> int:
    """Run a command in a pod of the release and return its exit code.

    Raises:
        ConfigurationError: kubectl is not there, or the command makes no sense in the cluster.
        ClusterError: The cluster does not answer, or there is no pod to run in.
    """
    flags, command = _split(words)
    verb = next((word for word in command if not word.startswith("-")), None)
    if verb is None:
        sys.stdout.write(_HELP)
        return ExitCode.OK
    if verb in LOCAL:
        raise ConfigurationError(
            f"`{verb}` runs where you are, not in the cluster: perdure {' '.join(command)}"
        )
    if shutil.which("kubectl") is None:
        raise ConfigurationError("kubectl is not on the path; install it, or use perdure itself")
    pod = _find_pod(flags)
    command = _with_files(_with_instances(command, flags))
    if verb in _ARCHIVES:
        return _carry(pod, command, flags)
    return _exec(pod, command, flags)


def _split(words: Sequence[str]) -> tuple[_Flags, list[str]]:
    """Take the plugin's flags out, wherever they stand before a `--`."""
    flags, rest = _Flags(), list[str]()
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            return flags, [*rest, word, *remaining]
        flag, equals, value = word.partition("=")
        field = _VALUE_FLAGS.get(flag)
        if field is None:
            rest.append(word)
            continue
        taken = value if equals else next(remaining, None)
        if not taken:
            raise ConfigurationError(f"{flag} needs a value")
        setattr(flags, field, taken)
    return flags, rest


def _find_pod(flags: _Flags) -> _Pod:
    if flags.pod is not None:
        namespace = flags.release_namespace or flags.namespace or _current_namespace(flags)
        return _Pod(namespace=namespace, name=flags.pod, container=None)
    places = (
        [flags.release_namespace]
        if flags.release_namespace
        else [flags.namespace or _current_namespace(flags), None]
    )
    for place in places:
        scope = ["--all-namespaces"] if place is None else ["--namespace", place]
        answer = _kubectl(flags, "get", "pods", *scope, "-l", _SELECTOR, "-o", "json")
        if pod := _best(json.loads(answer)["items"]):
            return pod
    where = f"namespace {flags.release_namespace}" if flags.release_namespace else "the cluster"
    raise ClusterError(
        f"There is no ready replay or operator pod of Perdure in {where} (label {_SELECTOR}); "
        "name one with --pod, or the place with --release-namespace"
    )


def _best(pods: Sequence[dict[str, Any]]) -> _Pod | None:
    """Choose a ready pod, of the best component there is; the first by name of equals."""
    found: list[tuple[int, str, _Pod]] = []
    for pod in pods:
        metadata = pod["metadata"]
        component = metadata.get("labels", {}).get(_COMPONENT_LABEL)
        conditions = pod.get("status", {}).get("conditions", [])
        is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        if not is_ready or "deletionTimestamp" in metadata or component not in _COMPONENTS:
            continue
        container = pod["spec"]["containers"][0]["name"]
        chosen = _Pod(metadata["namespace"], metadata["name"], container)
        found.append((_COMPONENTS.index(component), chosen.name, chosen))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _with_instances(command: list[str], flags: _Flags) -> list[str]:
    """Put the instance in the place of the name of an Orchestration object."""
    places = _instance_places(command)
    names = dict.fromkeys(command[place] for place in places if _may_be_a_name(command[place]))
    if not names:
        return command
    namespace = ["--namespace", flags.namespace] if flags.namespace else []
    answer = _kubectl(
        flags,
        *("get", "orchestrations.perdure.dev", *names, *namespace),
        *("--ignore-not-found", "-o", "json"),
        may_fail=True,  # who may not read the objects can still name the instance itself
    )
    instances: dict[str, str] = {}
    document: dict[str, Any] = json.loads(answer) if answer.strip() else {"items": []}
    items: list[dict[str, Any]] = document.get("items", [document])
    for item in items:
        if instance := item.get("status", {}).get("instanceId"):
            instances[item["metadata"]["name"]] = instance
    result = list(command)
    for place in places:
        result[place] = instances.get(command[place], command[place])
    return result


def _may_be_a_name(word: str) -> bool:
    """Whether an object can have this name: asking for another is an error."""
    return bool(word) and all(c.islower() or c.isdigit() or c in "-." for c in word)


def _instance_places(command: Sequence[str]) -> list[int]:
    """Where in a command instances stand: the words after the verb that are no options."""
    words = [index for index, word in enumerate(command) if not word.startswith("-")]
    if not words:
        return []
    verb = command[words[0]]
    after = [place for place in words[1:] if not _is_value(command, place)]
    if verb in _GROUPS_OF_AN_INSTANCE:
        return after[1:2]
    if verb in _OF_AN_INSTANCE:
        return after[:1]
    return after if verb in _OF_INSTANCES else []


def _is_value(command: Sequence[str], place: int) -> bool:
    before = command[place - 1]
    return before.startswith("-") and "=" not in before and before not in FLAGS_WITHOUT_VALUE


def _with_files(command: list[str]) -> list[str]:
    result = list(command)
    for place, word in enumerate(command):
        if place and command[place - 1] in _FILE_FLAGS and word.startswith("@"):
            try:
                result[place] = Path(word[1:]).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{word[1:]} cannot be read: {error}") from error
    return result


def _carry(pod: _Pod, command: list[str], flags: _Flags) -> int:
    """Run `export` or `import`, whose file is on this machine: it goes through the streams."""
    source = target = None
    words: list[str] = []
    rest = iter(command)
    for word in rest:
        flag, _, value = word.partition("=")
        if flag in _OUT_FLAGS:
            target = value or next(rest, None)
        else:
            words.append(word)
    if "import" in words:
        places = range(words.index("import") + 1, len(words))
        named = (n for n in places if not words[n].startswith("-") and not _is_value(words, n))
        if (place := next(named, None)) is not None:
            source, words[place] = words[place], "-"
    try:
        with ExitStack() as files:
            given = None if source is None else files.enter_context(Path(source).open("rb"))
            taken = None if target is None else files.enter_context(Path(target).open("wb"))
            return _exec(pod, words, flags, given, taken)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be opened: {error.strerror}") from error


def _exec(
    pod: _Pod,
    command: Sequence[str],
    flags: _Flags,
    given: IO[bytes] | None = None,
    taken: IO[bytes] | None = None,
) -> int:
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and given is None and taken is None
    # Standard input is read only where it is asked for: in a shell's loop it is the loop's.
    streams = ["-it"] if is_terminal else ["-i"] if "-" in command else []
    container = ["-c", pod.container] if pod.container else []
    where = ["--namespace", pod.namespace]
    line = ["kubectl", *flags.of_kubectl(), "exec", *streams, *where, pod.name, *container]
    words = [*line, "--", "perdure", *command]
    return subprocess.run(words, check=False, stdin=given, stdout=taken).returncode


def _current_namespace(flags: _Flags) -> str:
    path = "jsonpath={..namespace}"
    return _kubectl(flags, "config", "view", "--minify", "-o", path).strip() or "default"


def _kubectl(flags: _Flags, *arguments: str, may_fail: bool = False) -> str:
    done = subprocess.run(
        ["kubectl", *flags.of_kubectl(), *arguments],  # noqa: S607  the user's kubectl, as a plugin must
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        # The last line is the reason; those before it are kubectl's own log.
        reason = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise ClusterError(f"kubectl {arguments[0]}: {reason}")
    return done.stdout if done.returncode == 0 else ""
