# shellcheck shell=bash
# Finds a Python that can run the project, or gets one; to be sourced by bootstrap.sh. Sets PYTHON.

# What the project is tested on, best first.
PYTHON_VERSIONS=(3.13 3.12)
PYTHON_BUILT=$CACHE/python-${PYTHON_VERSIONS[0]}

# A program on the PATH may be a version manager's shim that fails when run, and a distribution's
# interpreter may come without what an environment is made with: so ask it to work.
python_will_do() { # PROGRAM
  "$1" -c 'import ensurepip, sqlite3, ssl, sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))' 2>/dev/null
}

python_candidates() {
  set +e # a folder that is not there is no error
  local version
  # The interpreter under the environment that is there already: no change without a need.
  "$ROOT/.venv/bin/python" -c 'import sys; print(sys._base_executable)' 2>/dev/null
  for version in "${PYTHON_VERSIONS[@]}"; do
    echo "python$version"
    if command -v pyenv >/dev/null; then
      find "$(pyenv root)/versions" -maxdepth 1 -name "$version.*" 2>/dev/null | sort -rV | sed 's#$#/bin/python#'
    fi
    find "$CACHE/pythons" -maxdepth 1 -name "cpython-$version.*" 2>/dev/null | sort -rV | sed 's#$#/bin/python3#'
    echo "$CACHE/python-$version/bin/python$version"
  done
  echo python3
}

search_python() {
  local candidate
  if [ -n "${PERDURE_PYTHON:-}" ]; then
    python_will_do "$PERDURE_PYTHON" || die "PERDURE_PYTHON=$PERDURE_PYTHON does not run as a Python 3.12 or 3.13"
    PYTHON=$PERDURE_PYTHON
    return
  fi
  while read -r candidate; do
    if python_will_do "$candidate"; then
      PYTHON=$(command -v "$candidate")
      return
    fi
  done < <(python_candidates)
  return 1
}

find_python() {
  search_python && return
  say "no Python ${PYTHON_VERSIONS[*]} here: looking for one to install"
  python_from_packages || python_from_uv || python_from_source ||
    die "no Python >= 3.12 could be had: install one and set PERDURE_PYTHON"
  search_python || die "the Python just installed does not run"
}

python_from_packages() {
  local version
  command -v apt-get >/dev/null || return 1
  logged apt-update as_root apt-get update
  for version in "${PYTHON_VERSIONS[@]}"; do
    if apt_has "python$version-venv"; then
      install_packages "python$version" "python$version-venv"
      return
    fi
  done
  return 1
}

# uv's own builds lie where not every network reaches; it says so within seconds.
python_from_uv() {
  local old
  old=$(command -v python3 || true)
  if ! "$old" -c 'import ensurepip' 2>/dev/null; then
    install_packages python3 python3-venv || return 1
    old=/usr/bin/python3
  fi
  find_uv "$old" || return 1
  say "trying uv python install ${PYTHON_VERSIONS[0]}"
  UV_PYTHON_INSTALL_DIR=$CACHE/pythons UV_HTTP_TIMEOUT=15 UV_HTTP_RETRIES=0 \
    timeout 300 "$UV" python install --no-bin "${PYTHON_VERSIONS[0]}" >"$CACHE/logs/uv-python.log" 2>&1
}

# Debian's next release has a source package of it, on the mirrors that this machine uses anyway.
python_from_source() {
  local mirror version=${PYTHON_VERSIONS[0]} aside
  mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -E '/debian/?$' | head -n 1) || return 1
  say "building Python $version from Debian's source package; about 4 minutes on two cores"
  install_packages build-essential libbz2-dev libffi-dev liblzma-dev libreadline-dev libsqlite3-dev \
    libssl-dev uuid-dev xz-utils zlib1g-dev
  aside=$(mktemp -d "$CACHE/python.tmp.XXXXXX")
  fetch_python_source "$mirror" "$version" "$aside" || return 1
  logged python-build build_python "$aside"
  rm -rf "$PYTHON_BUILT"
  mv "$aside/install$PYTHON_BUILT" "$PYTHON_BUILT" && rm -rf "$aside"
}

# An apt of its own, so that the machine's lists of packages stay as they are.
fetch_python_source() { # MIRROR VERSION FOLDER
  local apt=(-o Dir::Etc::sourcelist="$3/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$3/lists"
    -o Dir::Cache="$3" -o APT::Sandbox::User=root)
  mkdir -p "$3/lists/partial" "$3/archives/partial" "$3/source"
  echo "deb-src $1 trixie main" >"$3/sources.list"
  logged python-lists apt-get "${apt[@]}" update
  (cd "$3" && logged python-fetch apt-get "${apt[@]}" source --download-only "python$2") &&
    tar -xf "$(find "$3" -name '*.orig.tar.*' ! -name '*.asc')" -C "$3/source" --strip-components=1
}

# Chained, as the caller's `||` puts `set -e` out of force in here.
build_python() ( # FOLDER
  cd "$1/source" &&
    ./configure --prefix="$PYTHON_BUILT" --with-ensurepip=install &&
    make -j"$(nproc)" &&
    make install DESTDIR="$1/install"
)
