"""Write `crds/*.yaml` and the chart's templates: `python -m perdure_operator.api.generate`.

With `--check` nothing is written; the exit status is 1 where a committed file differs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from perdure_operator.api.schema import definition
from perdure_operator.api.v1alpha1 import KINDS, Kind

_ROOT = Path(__file__).resolve().parents[3]
_HEADER = "# Generated from operator/perdure_operator/api by `make crds`; edits here are lost.\n"

# Helm reads `{{` in a description as its own, so none may hold it (a test looks).
_TEMPLATE_HEAD = (
    "# Generated from operator/perdure_operator/api by `make crds`; edits here are lost.\n"
    "{{- if .Values.crds.enabled }}\n"
)
_TEMPLATE_METADATA = """\
metadata:
  name: NAME
  labels:
    {{- include "perdure.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def files() -> dict[Path, str]:
    """Every generated file, by its path from the root of the repository."""
    written: dict[Path, str] = {}
    for kind in KINDS:
        text = manifest(kind)
        written[Path("crds") / f"{kind.plural}.yaml"] = _HEADER + text
        written[Path("charts/perdure/templates/crds") / f"{kind.plural}.yaml"] = _template(
            kind, text
        )
    return written


def manifest(kind: Kind) -> str:
    """Write the definition of one kind as YAML."""
    text: str = yaml.dump(
        definition(kind), Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True
    )
    return text


class _Plain(yaml.SafeDumper):
    """YAML without anchors: what appears twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the name is the base's
        return True


def _template(kind: Kind, text: str) -> str:
    plain = f"metadata:\n  name: {kind.crd}\n"
    head, tail = text.split(plain, maxsplit=1)
    return (
        _TEMPLATE_HEAD + head + _TEMPLATE_METADATA.replace("NAME", kind.crd) + tail + "{{- end }}\n"
    )


def main(arguments: Sequence[str]) -> int:
    """Write, or with `--check` compare."""
    stale: list[str] = []
    for path, text in files().items():
        target = _ROOT / path
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path))
        if "--check" not in arguments:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"out of step with the models, run `make crds`: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
