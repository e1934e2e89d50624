#!/usr/bin/env bash
# Installs the Debian/Ubuntu packages that Baton builds and tests with, if any is missing.
set -euo pipefail

packages=(pkg-config libzmq3-dev libprotobuf-c-dev protobuf-c-compiler libopenblas-dev libpcre2-dev libsqlite3-dev)

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "install-dependencies: this machine has no apt-get; install by hand: ${missing[*]}" >&2
    exit 1
fi
echo "installing: ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
