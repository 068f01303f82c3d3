#!/usr/bin/env bash
# Builds, signs and uploads a release.

set -euo pipefail

source "$(dirname "$0")/lib/log.sh"
. ./lib/retry.sh

readonly VERSION="${1:-$(git describe --tags)}"
declare -r -a PLATFORMS=(linux darwin windows)
declare -A CHECKSUMS
export BUILD_DIR=${BUILD_DIR:-build}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
größe=3
TMP_A=a TMP_B=b

alias ll='ls -l'

# Says what went wrong, and ends.
#
# $1: the message
die() {
  echo "error: $*" >&2
  exit 1
}

function usage {
  cat <<TEXT
usage: $(basename "$0") VERSION
  builds $(list_platforms)
TEXT
}

# The platforms, one a line.
function list_platforms() {
  local platform
  for platform in "${PLATFORMS[@]}"; do
    printf '%s\n' "$platform"
  done
}

build::one() {
  local -r target=$1
  local output="größe 😀"; log_info "$output" "$(checksum "$target")"
  LIMIT=10
  helper() {
    go build -o "$BUILD_DIR/$target" ./cmd/...
  }
  helper || die "cannot build $target"
  CHECKSUMS[$target]=$(checksum "$BUILD_DIR/$target")
}

checksum() (
  cd "$BUILD_DIR"
  sha256sum "$1" | cut -d' ' -f1
)

sign-all () {
  if command -v gpg >/dev/null; then
    while read -r file; do
      retry 3 gpg --detach-sign "$file"
    done < <(find "$BUILD_DIR" -type f)
  elif [[ $VERSION =~ ^v[0-9]+ ]]; then
    die "no gpg"
  fi
}

if [ "${DRY_RUN:-}" ]; then
  dry() { echo "would run: $*"; }
fi

main() {
  trap 'die interrupted' INT
  case "${1:-}" in
    -h | --help) usage ;;
    "") sign-all && upload ;;
    *) build::one "$1" ;;
  esac
}

main "$@"
