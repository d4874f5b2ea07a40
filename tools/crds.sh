#!/usr/bin/env bash
# Writes crds/ and the chart's copy from the operator's models; --check compares instead, and fails
# where a file that is committed is not the one that the models give.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec .venv/bin/python -m perdure_operator.api.generate "$@"
