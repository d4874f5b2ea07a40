"""The chart, rendered by the real Helm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).resolve().parents[2]
_CHART = _ROOT / "charts/perdure"

type Manifest = dict[str, Any]
TRIAL = {"database": {"embedded": {"enabled": True}}}


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm, wherever it is."""

    path: str

    def run(self, *arguments: str, values: Manifest) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path, *arguments, "--values", "-"],
            input=json.dumps(values),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=os.environ | {"KUBECONFIG": "/dev/null"},
        )

    def render(self, values: Manifest) -> list[Manifest]:
        done = self.run(
            *("template", "perdure", str(_CHART), "--namespace", "home"),
            *("--kube-version", "1.34.0"),
            values=values,
        )
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    def refused(self, values: Manifest) -> str:
        done = self.run(
            *("template", "perdure", str(_CHART), "--kube-version", "1.34.0"), values=values
        )
        assert done.returncode != 0, "these values should be refused"
        return done.stderr

    def lint(self, values: Manifest) -> subprocess.CompletedProcess[str]:
        return self.run("lint", "--strict", str(_CHART), values=values)


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Helm from the path, else the development cluster's own."""
    found = shutil.which("helm") or _of_devcluster()
    assert found, "there is no helm: run tools/bootstrap.sh cluster"
    return Helm(found)


def _of_devcluster() -> str | None:
    script = 'eval "$(tests/devcluster/cluster env)" && command -v helm'
    command = ["/usr/bin/env", "bash", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)
    return done.stdout.strip() or None


@pytest.fixture(scope="session")
def trial(helm: Helm) -> list[Manifest]:
    """What a trial installs."""
    return helm.render(TRIAL)


@pytest.fixture
def pick() -> Callable[..., Manifest]:
    """Find the one manifest of a kind whose name ends so."""

    def find(manifests: list[Manifest], kind: str, suffix: str = "") -> Manifest:
        found = [
            one
            for one in manifests
            if one["kind"] == kind and one["metadata"]["name"].endswith(suffix)
        ]
        assert len(found) == 1, [one["metadata"]["name"] for one in found]
        return found[0]

    return find
