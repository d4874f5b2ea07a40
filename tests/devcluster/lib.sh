# shellcheck shell=bash disable=SC2034
# What the scripts of the local cluster share: where things live, how they speak, how they wait.

CACHE=${PERDURE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perdure}
CLUSTER=${PERDURE_CLUSTER:-perdure}
STARTED=$SECONDS
mkdir -p "$CACHE/logs"

say() { printf '[%3ds] %s\n' $((SECONDS - STARTED)) "$*" >&2; }
die() { say "error: $*"; exit 1; }

# One run at a time per cache. The lock is a file descriptor, so it goes with the process that
# holds it, kill -9 included; what that process started and left behind is waited for too.
take_lock() { # NAME
  exec 9>"$CACHE/$1.lock"
  flock -n 9 && return
  say "waiting for another run to finish ($1)"
  flock 9
}

# wait_for WHAT SECONDS COMMAND...: try twice a second, say every ten seconds that we still wait.
wait_for() {
  local what=$1 limit=$2 began=$SECONDS said=$SECONDS
  shift 2
  say "waiting for $what"
  until "$@" >/dev/null 2>&1; do
    ((SECONDS - began < limit)) || { say "$what: gave up after ${limit}s"; return 1; }
    ((SECONDS - said < 10)) || { say "still waiting for $what"; said=$SECONDS; }
    sleep 0.5
  done
}

# Run something long with its output in a log; show where it stands, and the log's end if it fails.
logged() { # LOG-NAME WHAT COMMAND...
  local log=$CACHE/logs/$1.log what=$2 began=$SECONDS said=$SECONDS pid
  shift 2
  say "$what (log: $log)"
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    ((SECONDS - said < 15)) || { say "still at it after $((SECONDS - began))s: $what"; said=$SECONDS; }
  done
  wait "$pid" || { tail -n 25 "$log" >&2; die "failed: $what"; }
}

# The first 12 digits of the hash of all files named (names and contents), of this machine's
# architecture, and of standard input where there is any. Names count as given: use relative ones.
key_of() {
  { uname -m; sha256sum "$@"; } | sha256sum | cut -c1-12
}

arch() { case $(uname -m) in x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) uname -m ;; esac; }
