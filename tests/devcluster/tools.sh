# shellcheck shell=bash disable=SC2034
# The cluster's programs, built from the Go module in tools/: one lock file pins them all, and a
# Go module proxy is all that is needed. Built aside and renamed, so that a folder is whole or absent.

pinned() { awk -v module="$1" '$1 == module && $2 ~ /^v/ {print $2; exit}' "$HERE/tools/go.mod"; }
KUBERNETES=$(pinned k8s.io/kubernetes)
ETCD=$(pinned go.etcd.io/etcd/server/v3)
COREDNS=$(pinned github.com/coredns/coredns)
HELM=$(pinned helm.sh/helm/v3)
TOOLS_KEY=$(cd "$HERE" && key_of tools/go.mod tools/go.sum tools.sh)
BIN=$CACHE/bin-$TOOLS_KEY

# shellcheck source=tools/go.sh
source "$HERE/../../tools/go.sh"

go_in_tools() { (cd "$HERE/tools" && CGO_ENABLED=0 GOFLAGS=-mod=mod "$GO" "$@"); }
kind_source() { go_in_tools mod download -json sigs.k8s.io/kind | jq -r .Dir; }

# build_tools FOLDER TOOL...: go on from whatever an earlier, broken run left in Go's own cache.
build_tools() {
  local to=$1 v=k8s.io/component-base/version
  shift
  [ -d "$to" ] && return
  find_go
  rm -rf "$to".tmp.*
  # Without the version stamp kubectl and kubeadm refuse to compare versions.
  logged "build-$(basename "$to")" "building $(($#)) Go programs into $to; 1 to 7 minutes the first time" \
    go_in_tools build -trimpath -buildvcs=false -o "$to.tmp.$$/" -ldflags "-s -w \
      -X $v.gitVersion=$KUBERNETES -X $v.gitMajor=1 -X $v.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES") \
      -X helm.sh/helm/v3/internal/version.version=$HELM" "$@"
  mv -T "$to.tmp.$$" "$to"
}

# What a person or a test calls.
client_tools() { build_tools "$BIN" k8s.io/kubernetes/cmd/kubectl helm.sh/helm/v3/cmd/helm sigs.k8s.io/kind; }

# What a node image is made of; needed only where kind's own cannot be pulled.
node_tools() {
  local k=k8s.io/kubernetes/cmd
  NODE_BIN=$CACHE/node-bin-$TOOLS_KEY
  build_tools "$NODE_BIN" $k/{kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy} \
    $k/{kubelet,kubeadm,kubectl} go.etcd.io/etcd/server/v3 github.com/coredns/coredns
}
