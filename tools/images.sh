#!/usr/bin/env bash
# Builds the images and loads them onto the nodes of the local cluster, where one is up.
#
#   tools/images.sh [--no-load] [NAME...]     all of them, or some of: executor operator postgres pgbackup
#
# perdure/executor:dev, perdure/operator:dev, perdure/postgres:dev (a trial database),
# perdure/example-pgbackup:dev. What has not changed is not built again. Builds need no network: what
# they install is resolved here, outside, by uv.lock.
# PERDURE_BASE: an image with Python 3.13 to build on, instead of python:3.13-slim.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HERE=$ROOT/tests/devcluster
# shellcheck source=tests/devcluster/lib.sh
source "$HERE/lib.sh"
# shellcheck source=tests/devcluster/engine.sh
source "$HERE/engine.sh"
# shellcheck source=tests/devcluster/base.sh
source "$HERE/base.sh"
UV=$(find "$CACHE" -maxdepth 2 -path '*/uv-*/uv' -type f | sort -V | tail -n 1)
[ -n "$UV" ] || die "no uv: run tools/bootstrap.sh python"
export UV_CACHE_DIR=${UV_CACHE_DIR:-$CACHE/uv-cache} UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}

PYTHON=3.13 # of the images, and so of the wheels
ARCH=$(uname -m)
EXECUTOR_EXTRAS=(--extra fast --extra otel)
OPERATOR_EXTRAS=("${EXECUTOR_EXTRAS[@]}" --extra operator)
# A newer pip may name its options otherwise; the download is by hash whichever it is.
PIP=pip==25.3
cd "$ROOT"

# local_base NAME PACKAGE,...: a small Debian 13 with these packages. Sets BASE.
local_base() {
  BASE=perdure-base/$1:$({ uname -m; echo "$2"; declare -f local_base; } | sha256sum | cut -c1-12)
  docker image inspect "$BASE" >/dev/null 2>&1 && return
  command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: run tools/bootstrap.sh cluster"
  rm -f "$CACHE"/base.tmp.*
  logged "base-$1" "no registry here: making a base image for $1" \
    debian_root --variant=minbase --include="$2" trixie "$CACHE/base.tmp.$$.tar"
  docker import -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -c 'ENV LANG=C.UTF-8' \
    "$CACHE/base.tmp.$$.tar" "$BASE" >/dev/null
  rm -f "$CACHE/base.tmp.$$.tar"
}

# Whether there is a registry is asked once a run: the answer may take seconds. Sets BASE.
find_base() { # OFFICIAL NAME PACKAGE,...
  [ -n "${REGISTRY:-}" ] || { if can_pull "$1"; then REGISTRY=yes; else REGISTRY=no; fi; }
  BASE=$1
  if [ "$REGISTRY" = no ]; then local_base "$2" "$3"; fi
}

find_python_base() {
  BASE=${PERDURE_BASE:-}
  [ -n "$BASE" ] || find_base "python:$PYTHON-slim" python python3,python3-venv,ca-certificates,tzdata
}

# The wheels of everything that uv.lock names for the images, by hash. Sets WHEELS.
resolve_wheels() {
  WHEELS=$CACHE/wheels-$(key_of uv.lock pyproject.toml tools/images.sh)
  [ ! -d "$WHEELS" ] || return 0
  rm -rf "$CACHE"/wheels.tmp.*
  logged wheels "fetching the wheels that uv.lock names" fetch_wheels "$CACHE/wheels.tmp.$$"
  mv -T "$CACHE/wheels.tmp.$$" "$WHEELS"
}

# Two lists of what to install, and the wheels of the longer one.
fetch_wheels() ( # FOLDER
  set -euo pipefail
  platforms=()
  mkdir -p "$1"
  pin "${EXECUTOR_EXTRAS[@]}" >"$1/executor.txt"
  pin "${OPERATOR_EXTRAS[@]}" >"$1/operator.txt"
  for libc in 2_28 2_27 2_26 2_24 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${libc}_$ARCH"); done
  "$UV" tool run --quiet --from "$PIP" pip download --quiet --no-deps --only-binary :all: --require-hashes \
    --python-version "$PYTHON" --implementation cp --abi "cp${PYTHON/./}" --abi abi3 --abi none "${platforms[@]}" \
    --platform "manylinux2014_$ARCH" --platform any --dest "$1" -r "$1/operator.txt"
)

# The second pass settles the markers for the images' Python, whatever runs here.
pin() { # EXTRAS...
  "$UV" export --quiet --frozen --no-dev --no-emit-project "$@" |
    "$UV" pip compile --quiet --no-deps --no-header --no-annotate --generate-hashes --only-binary :all: \
      --python-version "$PYTHON" --python-platform "$ARCH-manylinux_2_28" -
}

sources() { # PATH...: what git would see of them, committed or not
  git ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null | sort -u | while read -r file; do
    [ ! -f "$file" ] || echo "$file"
  done
}

inputs_of() { # BASE PATH...
  { docker image inspect -f '{{.Id}}' "$1" 2>/dev/null || echo "$1"; sources "${@:2}" | xargs -d '\n' sha256sum; } |
    sha256sum | cut -c1-12
}

# build IMAGE INPUTS CONTEXT DOCKERFILE [ARGUMENT=VALUE...]
build() {
  local image=$1 inputs=$2 context=$3 file=$4 arguments=() argument
  shift 4
  for argument; do arguments+=(--build-arg "$argument"); done
  logged "image-$(basename "${image%:*}")" "building $image" docker build --tag "$image" \
    --label "dev.perdure.inputs=$inputs" "${arguments[@]}" --file "$file" "$context"
}

up_to_date() { # IMAGE INPUTS
  [ "$(docker image inspect -f '{{index .Config.Labels "dev.perdure.inputs"}}' "$1" 2>/dev/null)" = "$2" ]
}

# An image with the package in it.
package_image() { # IMAGE BASE DOCKERFILE
  IMAGES+=("$1")
  local inputs context
  inputs=$(inputs_of "$2" "$3" pyproject.toml uv.lock README.md LICENSE runtime operator tools/images.sh)
  if up_to_date "$1" "$inputs"; then return; fi
  resolve_wheels
  context=$(mktemp -d "$CACHE/context.tmp.XXXXXX")
  cp -rl "$WHEELS" "$context/wheels"
  # The project's own interpreter: left to itself uv may go and look for one on the network.
  [ -x .venv/bin/python ] || tools/bootstrap.sh python
  logged package "building the package's wheel" "$UV" build --quiet --wheel --python .venv/bin/python --out-dir "$context/package"
  build "$1" "$inputs" "$context" "$3" "BASE=$2"
  rm -rf "$context"
}

plain_image() { # IMAGE BASE FOLDER ARGUMENT-THAT-TAKES-THE-BASE
  IMAGES+=("$1")
  local inputs
  inputs=$(inputs_of "$2" "$3")
  if up_to_date "$1" "$inputs"; then return; fi
  build "$1" "$inputs" "$3" "$3/Dockerfile" "$4=$2"
}

wanted() { [[ " ${NAMES[*]} " == *" $1 "* ]]; }

LOAD=yes NAMES=()
for argument; do
  case $argument in
    --no-load) LOAD=no ;;
    executor | operator | postgres | pgbackup) NAMES+=("$argument") ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2 ;;
  esac
done
[ ${#NAMES[@]} != 0 ] || NAMES=(executor operator postgres pgbackup)

take_lock images
rm -rf "$CACHE"/context.tmp.*
start_engine
IMAGES=()
if wanted executor || wanted operator || wanted pgbackup; then find_python_base; fi
if wanted executor || wanted pgbackup; then
  package_image perdure/executor:dev "$BASE" executor_image/Dockerfile
fi
if wanted operator; then
  package_image perdure/operator:dev "$BASE" executor_image/operator.Dockerfile
fi
if wanted pgbackup; then
  plain_image perdure/example-pgbackup:dev perdure/executor:dev examples/pgbackup EXECUTOR
fi
if wanted postgres; then
  find_base postgres:17 postgres postgresql
  plain_image perdure/postgres:dev "$BASE" tests/devcluster/postgres BASE
fi
# What these images were before this run; layers that the next build starts from stay.
docker image prune --force --filter label=dev.perdure.inputs >/dev/null
say "built: ${IMAGES[*]}"
if [ "$LOAD" = yes ]; then
  if "$HERE/cluster" status >/dev/null 2>&1; then
    "$HERE/cluster" load "${IMAGES[@]}"
    say "the nodes have them"
  else
    say "no cluster is up: nothing to load them into"
  fi
fi
