#!/usr/bin/env bash
# Runs suites one after another: suites.sh REPORTS SUITE...
#
# Leaves REPORTS/SUITE.xml and REPORTS/SUITE.exit for tools/suite_report.py, which says whether all
# is well: a failing suite does not keep the next from running. A suite is a folder under tests/, or
# `doctests`: the examples in the docstrings of both packages and in README.md.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
reports=$1
shift
mkdir -p "$reports"

for suite; do
  paths=("tests/$suite")
  hung=120 # seconds after which a test that says nothing is taken for hung
  case $suite in
    doctests) paths=(runtime operator README.md) ;;
    chart | cluster)
      hung=900 # an image or a node may be waited for
      eval "$(tests/devcluster/cluster env)"
      ;;
  esac
  echo "== $suite"
  code=0
  .venv/bin/pytest -q "${paths[@]}" --junitxml="$reports/$suite.xml" \
    -o faulthandler_timeout="$hung" -o faulthandler_exit_on_timeout=true || code=$?
  echo "$code" >"$reports/$suite.exit"
done
