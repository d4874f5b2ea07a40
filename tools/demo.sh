#!/usr/bin/env bash
# Perdure on a real cluster, from nothing: installs it, runs the examples, shows what came of them.
#
#   tools/demo.sh         or: make demo. Again and again: what is there already is used.
#   tools/demo.sh down    or: make demo-down. Removes all that it made.
#
# KUBECONFIG, when it names a cluster of yours, is used instead of a local one. The images must then
# be where that cluster pulls them from; say where with PERDURE_DEMO_REGISTRY (such as
# registry.example/team: its perdure/executor:dev and so on are then used).
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
CLUSTER=tests/devcluster/cluster
NAMESPACE=perdure-demo
RELEASE=perdure-demo
RUN=demo-$(date -u +%Y%m%d-%H%M%S) # the run.key of everything that this demo starts
BEGAN=$SECONDS
TIMES=()

bold() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }
say() { printf '  [%3ds] %s\n' $((SECONDS - BEGAN)) "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
k() { kubectl -n "$NAMESPACE" "$@"; }

phase() { # FUNCTION WHAT: say what comes, do it, remember how long it took
  local began=$SECONDS
  echo
  bold "== $2"
  "$1"
  TIMES+=("$(printf '%4ds  %s' $((SECONDS - began)) "$2")")
}

show() { # COMMAND...: print a command as one would type it, and run it
  local typed=$*
  [ "$1" != k ] || typed="kubectl -n $NAMESPACE ${*:2}"
  printf '  $ %s\n' "$typed"
  "$@" | sed 's/^/    /'
}

use_cluster() {
  # shellcheck disable=SC1090 # what it prints is exports
  eval "$("$CLUSTER" env)"
  export PATH=$ROOT/.venv/bin:$PATH # kubectl-perdure, the plugin
}

bring_up() {
  say "sets up Python, and a local Kubernetes where KUBECONFIG names none: the first time it takes minutes"
  tools/bootstrap.sh python
  if [ -z "${KUBECONFIG:-}" ]; then
    tools/bootstrap.sh cluster
    "$CLUSTER" status >/dev/null 2>&1 || MADE_CLUSTER=yes
  fi
  "$CLUSTER" up
  use_cluster
}

make_images() {
  if [ -n "${PERDURE_DEMO_REGISTRY:-}" ]; then
    say "using the images of $PERDURE_DEMO_REGISTRY"
    return
  fi
  say "builds perdure/executor, operator, postgres and example-pgbackup, and loads them onto the nodes"
  tools/images.sh
}

# Where the images of a manifest are: on the nodes, or in the registry.
placed() { # FILE
  sed "s#image: perdure/#image: ${PERDURE_DEMO_REGISTRY:+$PERDURE_DEMO_REGISTRY/}perdure/#" "$1"
}

install() {
  say "helm installs the chart with a Postgres of its own into namespace $NAMESPACE"
  local values=() image
  if [ -n "${PERDURE_DEMO_REGISTRY:-}" ]; then
    for image in operator executor postgres; do
      values+=(--set "images.$image.repository=$PERDURE_DEMO_REGISTRY/perdure/$image")
    done
  fi
  # What a broken-off run before this one left half-installed is in the way of an upgrade.
  case $(helm status "$RELEASE" --namespace "$NAMESPACE" -o json 2>/dev/null | jq -r .info.status) in
    pending-*) helm uninstall "$RELEASE" --namespace "$NAMESPACE" --wait >/dev/null ;;
  esac
  helm upgrade --install "$RELEASE" charts/perdure --namespace "$NAMESPACE" --create-namespace \
    --values tools/demo-values.yaml "${values[@]}" --take-ownership --wait --timeout 5m >/dev/null
  [ -z "$MADE_CLUSTER" ] || kubectl annotate --overwrite namespace "$NAMESPACE" made-cluster=yes >/dev/null
  renew_pods
  show k get pods
}

# A tag stays what it is when an image is built anew, so pods are replaced here where that happened.
renew_pods() {
  local images
  images=$(docker image inspect -f '{{.Id}}' perdure/{operator,executor,postgres,example-pgbackup}:dev 2>/dev/null | sha256sum | cut -c1-16)
  [ "$(kubectl get namespace "$NAMESPACE" -o jsonpath='{.metadata.annotations.images}')" != "$images" ] || return 0
  if [ -n "$(k get deployments -l app.kubernetes.io/managed-by=perdure-operator -o name)" ]; then
    say "the images are newer than the pods: replacing those"
    k rollout restart deployment >/dev/null
    k rollout status deployment --timeout=3m >/dev/null
  fi
  kubectl annotate --overwrite namespace "$NAMESPACE" images="$images" >/dev/null
}

make_data() {
  say "a Postgres to back up, with three databases of made-up rows"
  k get secret pgbackup-source >/dev/null 2>&1 || k create secret generic pgbackup-source \
    --from-literal=PGHOST=shop-db --from-literal=PGUSER=postgres \
    --from-literal=PGPASSWORD="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" >/dev/null
  placed examples/pgbackup/source.yaml | k apply -f - >/dev/null
  k rollout status deployment/shop-db --timeout=2m >/dev/null
  k exec -i deploy/shop-db -- psql -h /tmp -U postgres -qX -v ON_ERROR_STOP=1 <examples/pgbackup/source.sql
}

apply_examples() {
  say "each Orchestration gets the key $RUN: with the key of an earlier run, apply would do nothing"
  local example
  for example in hello checkout pgbackup; do
    placed examples/$example/$example.yaml | sed "s/key: \"1\"/key: \"$RUN\"/" | k apply -f - >/dev/null
  done
  show k get orchestrations,executorpools,replaypools
}

wait_for_phase() { # ORCHESTRATION PHASE SECONDS
  k wait "orchestration/$1" --for="jsonpath={.status.runKey}=$RUN" --timeout="$3s" >/dev/null
  k wait "orchestration/$1" --for="jsonpath={.status.phase}=$2" --timeout="$3s" >/dev/null
}

decide() {
  say "order-1001 waits for a person: we are that person, and raise the event"
  wait_for_phase order-1001 Running 120
  show kubectl perdure -n "$NAMESPACE" event raise order-1001 approved --data true
  local one
  for one in hello order-1001 order-1002 pgbackup; do
    k wait "orchestration/$one" --for="jsonpath={.status.runKey}=$RUN" --timeout=60s >/dev/null
    show k wait --for=condition=Ready "orchestration/$one" --timeout=3m
  done
}

back_up_again() {
  say "a second backup that keeps one: it asks before it deletes the one before"
  local change='{"spec": {"run": {"key": "'$RUN-2'", "input": {"keep": 1, "approval_hours": 1}}}}'
  k patch orchestration pgbackup --type=merge -p "$change" >/dev/null
  k wait orchestration/pgbackup --for="jsonpath={.status.runKey}=$RUN-2" --timeout=60s >/dev/null
  show kubectl perdure -n "$NAMESPACE" event raise pgbackup approve-delete
  show k wait --for=condition=Ready orchestration/pgbackup --timeout=3m
}

show_results() {
  show k get orchestrations -o wide
  local one
  for one in hello order-1001 order-1002 pgbackup; do
    say "$one returned: $(k get orchestration "$one" -o jsonpath='{.status.result.inline}')"
  done
  say "the backups on the volume, each file checked against its manifest:"
  show k exec deploy/pgbackup-io-executor -- python -m pgbackup
  say "the same manifests once more change nothing:"
  sed "s/key: \"1\"/key: \"$RUN\"/" examples/hello/hello.yaml | k apply -f - | sed 's/^/    /'
}

finish() {
  echo
  bold "Done in $((SECONDS - BEGAN)) s"
  printf '  %s\n' "${TIMES[@]}"
  cat <<TEXT

Try next:
  eval "\$($CLUSTER env)"; export PATH=$ROOT/.venv/bin:\$PATH; kubectl config set-context --current --namespace $NAMESPACE
  kubectl get orch -w                                  watch runs
  kubectl perdure tree order-1002                      what one did, step by step
  kubectl perdure history pgbackup                     every event of it
  kubectl delete pod --all --force                     break everything, then: kubectl get orch
  kubectl patch orch hello --type=merge -p '{"spec":{"run":{"key":"mine"}}}'   run it again
  make demo-down                                       remove all of this
TEXT
}

down() {
  if [ -z "${KUBECONFIG:-}" ] && ! "$CLUSTER" status >/dev/null 2>&1; then
    say "no cluster is up: nothing to remove"
    return
  fi
  use_cluster
  if ! kubectl get namespace "$NAMESPACE" >/dev/null 2>&1; then
    say "there is no namespace $NAMESPACE: nothing to remove"
    return
  fi
  if [ "$(kubectl get namespace "$NAMESPACE" -o jsonpath='{.metadata.annotations.made-cluster}')" = yes ]; then
    say "the demo made this cluster: taking it down with all that is in it"
    "$CLUSTER" down
    return
  fi
  say "removing the orchestrations, the release and the namespace $NAMESPACE"
  # The objects first, while the controller that releases them is there.
  k delete orchestrations --all --timeout=90s >/dev/null
  k delete executorpools,replaypools --all --timeout=30s >/dev/null
  helm uninstall "$RELEASE" --namespace "$NAMESPACE" --ignore-not-found --wait >/dev/null
  kubectl delete namespace "$NAMESPACE" --timeout=3m >/dev/null
  say "the definitions of the kinds stay: with them would go every object of theirs in the cluster"
}

MADE_CLUSTER=
case "${1:-up}" in
  up)
    phase bring_up "a cluster"
    phase make_images "images"
    phase install "Perdure"
    phase make_data "data"
    phase apply_examples "three examples"
    phase decide "decisions, and waiting"
    phase back_up_again "another backup"
    phase show_results "what came of it"
    finish
    ;;
  down) down ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
