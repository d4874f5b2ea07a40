"""A real cluster as the tests use it: one release of the chart, kubectl, and one way to wait.

Nothing here sleeps for a guess: either `kubectl wait` holds a watch, or `until` asks again and
again until a deadline, and then says what it saw last.

The cluster is the one that `KUBECONFIG` names, else the development cluster, which is brought up.
The release is installed once, into a namespace of its own (`PERDURE_TESTS_NAMESPACE`), and stays
for the next run.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_NAMESPACE = os.environ.get("PERDURE_TESTS_NAMESPACE", "perdure-tests")
_ASK_AGAIN_SECONDS = 0.15

_OVER = {"Completed", "Failed", "Cancelled", "Terminated", "TimedOut"}

type Manifest = dict[str, Any]


class CommandError(AssertionError):
    """A command of kubectl, helm or a script failed; the message is what it said."""


def _run(*command: str, stdin: str | None = None, seconds: float = 120) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        cwd=_ROOT,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise CommandError(f"{' '.join(command)}: {said}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace of a cluster, with a release of the chart in it."""

    namespace: str
    say: Callable[[str], None]

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 60) -> str:
        return _run("kubectl", "-n", self.namespace, *arguments, stdin=stdin, seconds=seconds)

    def refused(self, *manifests: Manifest) -> str:
        """Apply what the API server must not take, and return what it says."""
        with pytest.raises(CommandError) as refusal:
            self.apply(*manifests)
        return str(refusal.value)

    def apply(self, *manifests: Manifest) -> str:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        return self.kubectl("apply", "-f", "-", stdin=text)

    def get(self, kind: str, name: str) -> Manifest:
        found: Manifest = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def all_of(self, kind: str, *, selector: str = "") -> list[Manifest]:
        text = self.kubectl("get", kind, "-l", selector, "-o", "json")
        items: list[Manifest] = json.loads(text)["items"]
        return items

    def wait(self, what: str, condition: str, seconds: float) -> None:
        """`kubectl wait`; `condition` is what comes after `--for=`."""
        limit = f"--timeout={seconds:g}s"
        self.kubectl("wait", f"--for={condition}", what, limit, seconds=seconds + 15)

    def until[T](self, what: str, probe: Callable[[], T | None], seconds: float = 60) -> T:
        """Ask until there is an answer, and not an empty one; fail with `what` when time is up."""
        deadline = time.monotonic() + seconds
        while True:
            last: object = None
            try:
                last = found = probe()
                if found:
                    return found
            except (CommandError, KeyError, IndexError) as error:
                last = error
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {last}")
            time.sleep(_ASK_AGAIN_SECONDS)  # may sleep: what changes is in another process

    # ------------------------------------------------------------------- orchestrations

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.get("orchestration", name)["status"]
        return status

    def ended(self, name: str, phase: str = "Completed", seconds: float = 60) -> dict[str, Any]:
        """Wait for the phase, and return the status."""

        def probe() -> str | None:
            found: str | None = self.status(name).get("phase")
            return found if found == phase or found in _OVER else None

        found = self.until(f"{name} is {phase}", probe, seconds)
        status = self.status(name)
        assert found == phase, f"{name} is {found}, not {phase}: {status}"
        return status

    def all_completed(self, names: Sequence[str], seconds: float) -> list[dict[str, Any]]:
        """Wait for all of them, and return their statuses."""

        def probe() -> list[dict[str, Any]] | None:
            text = self.kubectl("get", "orchestration", *names, "-o", "json")
            found = [one["status"] for one in json.loads(text)["items"]]
            wrong = [one for one in found if one.get("phase") in _OVER - {"Completed"}]
            assert not wrong, wrong
            left = [one for one in found if one.get("phase") != "Completed"]
            if left:
                raise KeyError(f"{len(left)} go on, such as {left[0]}")
            return found

        return self.until(f"{len(names)} runs complete", probe, seconds)

    def condition(self, kind: str, name: str, condition: str) -> dict[str, str]:
        """A condition of an object; KeyError while it is not there."""
        conditions = self.get(kind, name).get("status", {}).get("conditions", ())
        found: dict[str, str] = {one["type"]: one for one in conditions}[condition]
        return found

    def says(
        self, name: str, condition: str, status: str, reason: str, *, kind: str = "orchestration"
    ) -> str:
        """Wait for a condition with that status and reason; return its message."""

        def probe() -> str | None:
            found = self.condition(kind, name, condition)
            if (found["status"], found["reason"]) != (status, reason):
                raise KeyError(str(found))
            return found["message"] or " "

        return self.until(f"{kind} {name} says {condition}={status}/{reason}", probe)

    # ----------------------------------------------------------------------------- pods

    def pods(self, selector: str) -> list[Manifest]:
        """Pods that are there and not on their way out."""
        return [
            pod
            for pod in self.all_of("pods", selector=selector)
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def ready(self, selector: str, count: int = 1) -> list[Manifest]:
        """Pods of the selector that are ready; KeyError while they are not so many."""
        found = [
            pod
            for pod in self.pods(selector)
            if any(
                one["type"] == "Ready" and one["status"] == "True"
                for one in pod["status"].get("conditions", ())
            )
        ]
        if len(found) < count:
            raise KeyError(f"{len(found)} of {count} pods of {selector} are ready")
        return found

    def kill(self, pod: str) -> None:
        """Take a pod away as a lost node does: at once, and without a word to it."""
        self.kubectl("delete", "pod", pod, "--force", "--grace-period=0", "--wait=false")

    @property
    def selectors(self) -> dict[str, str]:
        """Which pods are what."""
        return _SELECTORS

    def restarts(self) -> dict[str, int]:
        """Containers of all pods that are there, with how often each was started again."""
        return {
            pod["metadata"]["name"]: sum(
                one["restartCount"] for one in pod["status"].get("containerStatuses", ())
            )
            for pod in self.all_of("pods")
        }

    # ------------------------------------------------------------------------- database

    def sql(self, query: str, **values: str) -> list[list[str]]:
        """Ask the release's own Postgres, as its superuser; a value is `:'name'` in the query."""

        def ask() -> tuple[str]:
            pod = self.ready(_POSTGRES)[0]["metadata"]["name"]
            text = self.kubectl(
                *("exec", "-i", pod, "--", "sh", "-c", 'exec psql -h /tmp -U perdure "$@"', "psql"),
                *("-v", "ON_ERROR_STOP=1", "-qAtX", "-F", "\t"),
                *(part for name, value in values.items() for part in ("-v", f"{name}={value}")),
                stdin=query,
            )
            return (text,)

        # It may be on its way back, and the way to it goes through the kubelet.
        (text,) = self.until("the database answers", ask, seconds=30)
        return [line.split("\t") for line in text.splitlines()]

    def traces(self, key: str) -> list[list[str]]:
        """What activities wrote under keys that begin so: key, what, pod, attempt, time."""
        query = (
            "select key, what, pod, attempt, extract(epoch from at) from trial.trace"
            " where starts_with(key, :'key') order by number"
        )
        return self.sql(query, key=key)

    def open_gate(self, key: str) -> None:
        """Let `hold` of that key end."""
        self.sql("insert into trial.gate values (:'key') on conflict do nothing", key=key)

    # ------------------------------------------------------------------- command line

    def perdure(self, *arguments: str) -> str:
        """`kubectl perdure`, as a person would type it."""
        return _run("kubectl", "perdure", "-n", self.namespace, *arguments)

    def instance(self, instance: str) -> dict[str, Any]:
        """What the database says of an instance, or of the one of an Orchestration."""
        found: dict[str, Any] = json.loads(self.perdure("get", instance, "-o", "json"))
        return found

    def history_length(self, name: str) -> int:
        """Records in the history of the instance of an Orchestration."""
        length: int = self.instance(name)["historyLength"]
        return length

    def history_lengths(self, instances: set[str]) -> dict[str, int]:
        """Records in the histories of these instances."""
        prefix = f"{self.namespace}/"
        text = self.perdure("list", "--prefix", prefix, "--limit", "0", "-o", "json")
        lengths = {one["instance"]: one["historyLength"] for one in json.loads(text)}
        return {instance: lengths[instance] for instance in instances}

    def steer(self, name: str, state: str) -> None:
        patch = json.dumps({"spec": {"desiredState": state}})
        self.kubectl("patch", "orchestration", name, "--type=merge", "-p", patch)


_POSTGRES = "app.kubernetes.io/component=postgres"
_SELECTORS = {
    "controller": "app.kubernetes.io/component=operator",
    "executor": "perdure.dev/pool-kind=ExecutorPool,perdure.dev/pool=trial",
    "postgres": _POSTGRES,
    "replayer": "perdure.dev/pool-kind=ReplayPool,perdure.dev/pool=trial",
}


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Tell who watches how far we are, past pytest's capture."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    began = time.monotonic()

    def tell(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"PROGRESS [{time.monotonic() - began:4.0f}s] {text}", flush=True)  # noqa: T201  it is for a person

    return tell


@pytest.fixture(scope="session")
def cluster(say: Callable[[str], None]) -> Cluster:
    """The cluster, with the release up and its database ready for traces."""
    _find_cluster(say)
    here = Cluster(_NAMESPACE, say)
    say(f"helm installs the chart into namespace {_NAMESPACE}")
    _install(here)
    here.sql(_TRIAL_SCHEMA)
    return here


def _install(here: Cluster) -> None:
    try:
        _run(
            *("helm", "upgrade", "--install", "perdure", "charts/perdure", "--take-ownership"),
            *("--namespace", _NAMESPACE, "--create-namespace", "--wait", "--timeout", "150s"),
            *("--values", "tests/cluster/values.yaml"),
            *("--set", f"namespaces={{{_NAMESPACE}}}"),
            *("--set-string", f"operator.podAnnotations.image={_image('operator')}"),
            seconds=180,
        )
    except CommandError as error:
        for pod in here.all_of("pods"):
            name = pod["metadata"]["name"]
            here.say(f"{name}: {here.kubectl('logs', name, '--tail=3', '--all-containers')}")
        raise AssertionError(f"the chart cannot be installed: {error}") from None


_TRIAL_SCHEMA = """
create schema if not exists trial;
create table if not exists trial.trace (
  number bigint generated always as identity primary key,
  key text not null, what text not null, pod text not null, attempt int not null,
  at timestamptz not null default clock_timestamp()
);
create table if not exists trial.gate (key text primary key);
"""


def _find_cluster(say: Callable[[str], None]) -> None:
    """Bring the cluster up and the images onto it, and learn where both are."""
    if "KUBECONFIG" not in os.environ:
        say("bringing the development cluster up, and images onto it")
        _run("tests/devcluster/cluster", "up", seconds=900)
        _run("tools/images.sh", seconds=900)
    variables = _run("bash", "-c", 'eval "$(tests/devcluster/cluster env)"; env -0')
    for pair in variables.rstrip("\0").split("\0"):
        name, _, value = pair.partition("=")
        os.environ[name] = value
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def _image(name: str) -> str:
    """Which build the tag stands for now: pods that wear it are replaced when that changes."""
    try:
        return _run("docker", "image", "inspect", "-f", "{{.Id}}", f"perdure/{name}:dev").strip()
    except (CommandError, FileNotFoundError):
        return "elsewhere"


def _small_pods() -> Manifest:
    return {
        "annotations": {"image": _image("executor")},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
    }


# ------------------------------------------------------------------------------ what they run


@pytest.fixture(scope="session")
def trial(cluster: Cluster, pool: Callable[..., Manifest]) -> Iterator[None]:
    """The tests' own code, and the pools that run it; all runs are removed at the end."""
    code = Path(__file__).with_name("trial.py").read_text()
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "trial-code"},
            "data": {"trial.py": code},
        },
        {
            "apiVersion": "perdure.dev/v1alpha1",
            "kind": "ReplayPool",
            "metadata": {"name": "trial"},
            "spec": {
                "code": {"configMap": "trial-code", "module": "trial"},
                "replicas": 2,
                "lock": {"timeout": "5s"},
                "template": _small_pods(),
            },
        },
        pool("trial", tags=["held"], includeUntagged=True, replicas=2, slots=16),
    )
    for kind in ("replaypool", "executorpool"):
        cluster.wait(f"{kind}/trial", "condition=Ready", 120)
    cluster.say("the pools are ready")
    yield
    cluster.say("removing what the tests declared")
    cluster.kubectl("delete", "orchestrations", "--all", "--timeout=120s", seconds=150)
    others = "perdure.dev/trial=extra"
    cluster.kubectl("delete", "executorpools,configmaps,secrets", "-l", others, "--wait=false")


@pytest.fixture(scope="session")
def pool() -> Callable[..., Manifest]:
    """Make the manifest of an ExecutorPool that runs the tests' code."""

    def make(name: str, **spec: Any) -> Manifest:
        database = {"secretKeyRef": {"name": "perdure-database", "key": "uri"}}
        return {
            "apiVersion": "perdure.dev/v1alpha1",
            "kind": "ExecutorPool",
            "metadata": {"name": name, "labels": {"perdure.dev/trial": "extra"}},
            "spec": {
                "code": {"configMap": "trial-code", "module": "trial"},
                "lock": {"timeout": "5s"},
                "template": _small_pods()
                | {"env": [{"name": "TRIAL_DATABASE", "valueFrom": database}]},
            }
            | spec,
        }

    return make


@pytest.fixture
def orchestration(request: pytest.FixtureRequest) -> Callable[..., Manifest]:
    """Make the manifest of an Orchestration, under a name that no other has."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:40]

    def make(name: str, arguments: object) -> Manifest:
        return {
            "apiVersion": "perdure.dev/v1alpha1",
            "kind": "Orchestration",
            "metadata": {"name": f"{test.strip('-')}-{secrets.token_hex(3)}"},
            "spec": {"run": {"orchestration": name, "input": arguments}},
        }

    return make
