# shellcheck shell=bash
# What images start from: a registry where one answers, Debian packages where none does.

# Ask for the manifest only: seconds, where a pull that must fail may take minutes.
can_pull() { # IMAGE
  docker image inspect "$1" >/dev/null 2>&1 || timeout 8 docker manifest inspect "$1" >/dev/null 2>&1
}

# A Debian without manuals.
debian_root() { # MMDEBSTRAP-ARGUMENT...
  mmdebstrap --quiet --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$@"
}
