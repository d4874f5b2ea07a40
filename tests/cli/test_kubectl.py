"""In scope: which pod the plugin chooses, and the command line that reaches it.

`kubectl` here is a program that answers from files and writes down how it was called; the way
through a real cluster is in tests/cluster.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer

from perdure.cli.commands import COMMANDS, program
from perdure.cli.exits import ClusterError, ExitCode
from perdure.cli.kubectl import FLAGS_WITHOUT_VALUE, LOCAL, run_in_cluster
from perdure.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

_KUBECTL = """#!{python}
import json, os, pathlib, sys

folder, words = pathlib.Path({folder!r}), sys.argv[1:]
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
for verb in ("exec", "pods", "orchestrations.perdure.dev", "config"):
    if verb in words:
        scope = ".all" if "--all-namespaces" in words else ""
        path = folder / (verb + scope)
        if path.exists():
            sys.stdout.write(path.read_text())
        elif verb == "pods":
            sys.stdout.write('{{"items": []}}')
        sys.exit(int(os.environ.get("EXIT", "0")) if verb == "exec" else 0)
"""


def _pod(name: str, component: str, *, is_ready: bool = True) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "perdure", "app.kubernetes.io/component": component}
    ready = {"type": "Ready", "status": "True" if is_ready else "False"}
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"conditions": [ready]},
    }


class _Cluster:
    """The answers that kubectl gives, and the calls it got."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pods(self, *pods: dict[str, Any], scope: str = "") -> None:
        (self.folder / f"pods{scope}").write_text(json.dumps({"items": list(pods)}))

    def objects(self, document: dict[str, Any]) -> None:
        (self.folder / "orchestrations.perdure.dev").write_text(json.dumps(document))

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Cluster:
    program = tmp_path / "kubectl"
    program.write_text(_KUBECTL.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "config").write_text("shop")
    return _Cluster(tmp_path)


def test_a_ready_replay_pod_is_preferred_to_one_with_a_token(cluster: _Cluster) -> None:
    cluster.pods(
        _pod("operator-1", "operator"),
        _pod("executor-1", "executor"),
        _pod("replay-1", "replayer", is_ready=False),
        _pod("replay-2", "replayer"),
    )
    assert run_in_cluster(["list", "--status", "Running"]) == ExitCode.OK
    line = cluster.calls[-1]
    assert line[line.index("--namespace") :] == [
        *("--namespace", "shop", "replay-2", "-c", "main"),
        *("--", "perdure", "list", "--status", "Running"),
    ]


def test_the_operator_is_taken_where_there_is_no_replay_pod(cluster: _Cluster) -> None:
    cluster.pods(_pod("operator-1", "operator"), scope=".all")
    run_in_cluster(["list"])
    assert "operator-1" in cluster.calls[-1]


def test_the_exit_code_is_that_of_the_command(
    cluster: _Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    monkeypatch.setenv("EXIT", str(int(ExitCode.NOT_FOUND)))
    assert run_in_cluster(["get", "nobody"]) == ExitCode.NOT_FOUND


def test_the_name_of_an_object_stands_for_its_instance(cluster: _Cluster) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    cluster.objects({"metadata": {"name": "order"}, "status": {"instanceId": "shop/order/17"}})
    run_in_cluster(["event", "raise", "order", "approved", "order", "-n", "shop"])
    assert cluster.calls[-1][-6:] == [
        *("perdure", "event", "raise"),
        *("shop/order/17", "approved", "order"),
    ]


def test_several_objects_are_resolved_and_ids_left_as_they_are(cluster: _Cluster) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    items = [{"metadata": {"name": n}, "status": {"instanceId": f"i-{n}"}} for n in ("a", "b")]
    cluster.objects({"items": items})
    run_in_cluster(["cancel", "a", "ns/x/1", "b", "--reason", "a"])
    asked = next(call for call in cluster.calls if "orchestrations.perdure.dev" in call)
    assert "ns/x/1" not in asked
    assert cluster.calls[-1][-7:] == ["perdure", "cancel", "i-a", "ns/x/1", "i-b", "--reason", "a"]


def test_values_of_options_are_no_names_of_objects(cluster: _Cluster) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    items = [{"metadata": {"name": n}, "status": {"instanceId": f"i-{n}"}} for n in ("a", "b")]
    cluster.objects({"items": items})
    for words, sent in (
        (("cancel", "--name", "a", "--yes"), ("cancel", "--name", "a", "--yes")),
        (("delete", "--force", "a", "--name=b"), ("delete", "--force", "i-a", "--name=b")),
        (("kv", "get", "a", "b"), ("kv", "get", "i-a", "b")),
        (("update", "a", "b", "--update-id", "a"), ("update", "i-a", "b", "--update-id", "a")),
    ):
        run_in_cluster(words)
        assert cluster.calls[-1][-len(sent) :] == [*sent]


def test_the_flags_without_a_value_are_known() -> None:
    found = set[str]()
    for one in COMMANDS:
        if one.name.split()[0] not in LOCAL:
            command = typer.main.get_command(program([one.name.split()[0]]))
            for word in one.name.split():
                command = command.commands[word]  # type: ignore[attr-defined]  # a group
            for option in command.params:
                if getattr(option, "is_flag", False):
                    found |= {*option.opts, *option.secondary_opts}
    assert found | {"--debug", "--help", "-h"} == FLAGS_WITHOUT_VALUE


def test_archives_go_through_the_streams(cluster: _Cluster, tmp_path: Path) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    (tmp_path / "exec").write_text("a line\n")
    saved = tmp_path / "saved.jsonl"
    assert run_in_cluster(["export", "order-17", "-f", str(saved)]) == ExitCode.OK
    assert saved.read_text() == "a line\n"
    assert cluster.calls[-1][-3:] == ["perdure", "export", "order-17"]
    run_in_cluster(["import", "-o", "json", str(saved)])
    assert cluster.calls[-1][-5:] == ["perdure", "import", "-o", "json", "-"]
    assert "-i" in cluster.calls[-1]
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        run_in_cluster(["import", str(tmp_path / "nowhere")])


def test_flags_of_kubectl_reach_every_call(cluster: _Cluster) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    run_in_cluster(["tree", "Some_Id", "--context=kind", "--kubeconfig", "k.yaml"])
    assert all(
        call[:4] == ["--context", "kind", "--kubeconfig", "k.yaml"] for call in cluster.calls
    )


def test_files_are_read_here_and_sent_along(cluster: _Cluster, tmp_path: Path) -> None:
    cluster.pods(_pod("replay-1", "replayer"))
    (tmp_path / "order.json").write_text('{"order": 17}')
    run_in_cluster(["start", "checkout", "--input", f"@{tmp_path / 'order.json'}"])
    assert cluster.calls[-1][-2:] == ["--input", '{"order": 17}']


def test_without_a_pod_it_says_what_was_looked_for(cluster: _Cluster) -> None:
    cluster.pods()
    with pytest.raises(ClusterError, match=r"no ready replay or operator pod.*--pod"):
        run_in_cluster(["list"])


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("verb", ["run", "bench", "executor", "replayer"])
def test_what_runs_on_ones_own_machine_is_refused(verb: str) -> None:
    with pytest.raises(ConfigurationError, match=f"`{verb}` runs where you are"):
        run_in_cluster([verb])


def test_without_kubectl_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="kubectl is not on the path"):
        run_in_cluster(["list"])


def test_without_words_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_in_cluster([]) == ExitCode.OK
    assert "kubectl perdure tree order-1001 -n shop" in capsys.readouterr().out
