# shellcheck shell=bash disable=SC2030,SC2031,SC2034
# The image of a cluster's node. kind's own where it can be pulled; else one with the same content,
# put together from Debian packages, the programs of tools.sh and the base files in kind's module.

NODE_IMAGE_KEY=$(cd "$HERE" && key_of tools/go.mod tools/go.sum tools.sh base.sh node-image.sh node/*)
LOCAL_NODE_IMAGE=perdure/node:$NODE_IMAGE_KEY

# Sets NODE_IMAGE.
find_node_image() {
  local official
  NODE_IMAGE=${PERDURE_NODE_IMAGE:-}
  [ -z "$NODE_IMAGE" ] || return 0
  NODE_IMAGE=$LOCAL_NODE_IMAGE
  docker image inspect "$NODE_IMAGE" >/dev/null 2>&1 && return
  find_go
  official=$(sed -n 's/^const Image = "\(.*\)"/\1/p' "$(kind_source)/pkg/apis/config/defaults/image.go")
  if can_pull "$official"; then
    logged pull-node "pulling kind's node image" docker pull "$official"
    NODE_IMAGE=$official
    return
  fi
  say "kind's node image cannot be pulled here: building one"
  node_tools
  logged node-image "building the node image $LOCAL_NODE_IMAGE; about a minute" build_node_image
  # What went in is of no more use, and earlier images only where a node still runs from one.
  rm -rf "$NODE_BIN"
  docker image ls --format '{{.Repository}}:{{.Tag}}' perdure/node | grep -vF "$LOCAL_NODE_IMAGE" |
    xargs -r docker rmi >/dev/null 2>&1 || true
}

build_node_image() (
  set -euo pipefail
  exec 2>&1
  work=$(mktemp -d "$CACHE/node.tmp.XXXXXX")
  trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
  find "$CACHE" -maxdepth 1 -name 'node.tmp.*' ! -path "$work" -exec rm -rf --one-file-system {} +
  root=$work/root

  # systemd of Debian 12 still lives with cgroup v1; that of Debian 13 does not.
  debian_root --variant=extract --include=iptables,busybox-static bookworm "$work/net" &
  debian_root --variant=minbase --include=systemd,conntrack,iptables,iproute2,ethtool,mount,kmod,ca-certificates \
    --include=curl,jq,procps,containerd,runc,containernetworking-plugins bookworm "$root"
  wait %1
  echo "Debian roots are ready"

  mkdir -p "$work/images"
  system_images
  echo "system images are ready"
  dress_root
  preload_images
  # An import cannot say which signal asks systemd to stop; a build of nothing but metadata can.
  tar -C "$root" --numeric-owner -c . | docker import - perdure/node-root:latest
  printf '%s\n' 'FROM perdure/node-root:latest' 'ENV container=docker' 'STOPSIGNAL SIGRTMIN+3' \
    'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]' |
    DOCKER_BUILDKIT=0 docker build -q -t "$LOCAL_NODE_IMAGE" -
  docker rmi perdure/node-root:latest
)

# one_image ARCHIVE NAME[:TAG] FOLDER ENTRYPOINT: a folder becomes an image becomes an archive.
one_image() {
  # Kubernetes names the programs without their folder, and nobody but the image says PATH.
  tar -C "$3" --numeric-owner --owner=0 --group=0 -c . |
    docker import -c "ENTRYPOINT [\"$4\"]" -c 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$2"
  docker save -o "$work/images/$1.tar" "$2"
  docker rmi "$2"
}

# The images that kubeadm will look for, by the names it will use: nothing is pulled later. etcd and
# CoreDNS carry the version they have, which the cluster's configuration names (kind_config).
system_images() {
  local name tag folder
  mkdir -p "$work/net/run" "$work/net/usr/local/bin"
  rm -rf "$work/net/dev" "$work/net/var"
  chroot "$work/net" /bin/busybox --install -s /bin
  for name in iptables ip6tables; do
    for tag in '' -save -restore; do ln -s $name-nft$tag "$work/net/usr/sbin/$name$tag"; done
  done
  "$NODE_BIN/kubeadm" config images list --kubernetes-version "$KUBERNETES" |
    sed "s/etcd:.*/etcd:$ETCD/; s/coredns:.*/coredns:$COREDNS/" >"$work/wanted"
  cat "$work/wanted"
  while read -r image; do
    name=$(basename "${image%:*}")
    folder=$work/$name
    mkdir -p "$folder/usr/local/bin"
    case $name in
      pause)
        CGO_ENABLED=0 "$GO" build -trimpath -ldflags '-s -w' -o "$folder/usr/local/bin/pause" "$HERE/node/pause.go" ;;
      etcd) ln "$NODE_BIN/server" "$folder/usr/local/bin/etcd" ;;
      kube-proxy)
        cp -al "$work/net/." "$folder"
        ln "$NODE_BIN/$name" "$folder/usr/local/bin/$name" ;;
      *) ln "$NODE_BIN/$name" "$folder/usr/local/bin/$name" ;;
    esac
    one_image "$name" "$image" "$folder" "/usr/local/bin/$name"
  done <"$work/wanted"
  install -m755 "$NODE_BIN/kubectl" "$HERE"/node/{network,volumes} "$work/net/usr/local/bin/"
  one_image node-agents localhost/perdure/node-agents:v1 "$work/net" /usr/local/bin/network
}

# kind's base files, then the little that must differ.
dress_root() {
  local base
  base=$(kind_source)/images/base/files
  cp -r --no-preserve=mode "$base/." "$root/"
  chmod 755 "$root"/usr/local/bin/* "$root"/kind/bin/*
  # Where oom scores cannot be lowered (no CAP_SYS_RESOURCE) containerd must not insist.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$root/etc/containerd/config.toml"
  sed -i "s#sandbox_image = .*#sandbox_image = \"$(grep pause "$work/wanted")\"#" "$root/etc/containerd/config.toml"
  sed -i 's#/usr/local/bin/containerd#/usr/bin/containerd#' "$root/etc/systemd/system/containerd.service"
  chroot "$root" ctr oci spec |
    jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
      >"$root/etc/containerd/cri-base.json"
  mkdir -p "$root"/{opt/cni,etc/cni/net.d,etc/kubernetes/manifests,kind/manifests}
  ln -s /usr/lib/cni "$root/opt/cni/bin"
  install -m755 "$NODE_BIN"/{kubeadm,kubelet,kubectl} "$root/usr/bin/"
  install -m755 "$HERE/node/crictl" "$root/usr/local/bin/"
  install -m644 "$HERE"/node/default-{cni,storage}.yaml "$root/kind/manifests/"
  printf %s "$KUBERNETES" >"$root/kind/version"
  # A node is no machine: nothing but containerd and the kubelet is to start by itself.
  rm -f "$root"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* "$root"/etc/systemd/system/*.wants/* \
    "$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}* \
    "$root"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
  echo ReadKMsg=no >>"$root/etc/systemd/journald.conf"
  ln -sf /lib/systemd/systemd "$root/sbin/init"
  chroot "$root" systemctl -q enable kubelet containerd undo-mount-hacks
  chroot "$root" systemctl -q mask systemd-binfmt
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/bin/containerd-{stress,shim,shim-runc-v1}
}

# A containerd of our own writes the archives straight into the root: content only, unpacked on first use.
preload_images() {
  local archive daemon
  containerd --root "$root/var/lib/containerd" --state "$work/state" --address "$work/containerd.sock" \
    --log-level error &
  daemon=$!
  wait_for "a containerd to import with" 20 test -S "$work/containerd.sock"
  for archive in "$work"/images/*.tar; do
    ctr --address "$work/containerd.sock" -n k8s.io images import --all-platforms --no-unpack "$archive"
  done
  kill "$daemon"
  wait "$daemon" || true
  rm -rf "$root"/var/lib/containerd/io.containerd.snapshotter.v1.{btrfs,native,devmapper,aufs}
}
