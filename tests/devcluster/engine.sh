# shellcheck shell=bash
# The container engine: the one that runs already, or one of our own whose every file is in the cache.

ENGINE=$CACHE/engine
ENGINE_SOCKET=$ENGINE/docker.sock

# Whoever talks to Docker asks here first, so that our engine is found once it runs.
use_engine() {
  [ -z "${DOCKER_HOST:-}" ] || return 0
  if engine_is_ours; then export DOCKER_HOST=unix://$ENGINE_SOCKET; fi
}

# A number in a file is not a process: after a reboot it may belong to a stranger.
engine_is_ours() {
  local pid
  pid=$(cat "$ENGINE/pid" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "--pidfile=$ENGINE/pid"
}

# Some sandboxes withhold CAP_SYS_RESOURCE (bit 24 of the bounding set); `--privileged`, which
# kind uses, then asks for more than can be had.
lacks_sys_resource() {
  local bounding
  bounding=$(awk '/^CapBnd/ {print $2}' /proc/self/status)
  ! (((0x$bounding >> 24) & 1))
}

start_engine() {
  use_engine
  docker info >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || die "no container engine answers (docker info), and only root can start one"
  command -v dockerd >/dev/null || die "dockerd is missing: run tools/bootstrap.sh cluster"
  local options=()
  if lacks_sys_resource; then
    say "this machine withholds CAP_SYS_RESOURCE: containers run without it"
    install -D -m755 "$HERE/runc-without-sys-resource" "$ENGINE/runc"
    options=(--add-runtime "perdure=$ENGINE/runc" --default-runtime perdure)
  fi
  mkdir -p "$ENGINE"
  engine_is_ours || rm -f "$ENGINE/pid" "$ENGINE_SOCKET"
  # Its own session and no lock: it outlives us, and a later run must not wait for it.
  setsid nohup dockerd --host "unix://$ENGINE_SOCKET" --pidfile="$ENGINE/pid" \
    --data-root "$ENGINE/data" --exec-root "$ENGINE/exec" "${options[@]}" \
    >>"$CACHE/logs/engine.log" 2>&1 </dev/null 9>&- &
  export DOCKER_HOST=unix://$ENGINE_SOCKET
  wait_for "the container engine (log: $CACHE/logs/engine.log)" 60 docker info ||
    { tail -n 15 "$CACHE/logs/engine.log" >&2; die "the container engine did not start"; }
}

stop_engine() {
  engine_is_ours || return 0
  if [ -n "$(docker ps -q)" ]; then say "other containers run in the engine: it stays"; return; fi
  local pid
  pid=$(cat "$ENGINE/pid")
  kill "$pid" 2>/dev/null || true
  wait_for "the container engine to stop" 30 bash -c "! kill -0 $pid" || die "the container engine ($pid) does not stop"
  rm -f "$ENGINE/pid" "$ENGINE_SOCKET"
}
