#!/usr/bin/env bash
# Generates Sources/CWire from the .proto files beside this script; with --check, compares instead.
set -euo pipefail
cd "$(dirname "$0")"
target=../Sources/CWire
names=(common control kv rpc)

generate() {
    mkdir -p "$1/include"
    protoc-c --c_out="$1" common.proto control.proto kv.proto rpc.proto
    for name in "${names[@]}"; do mv "$1/$name.pb-c.h" "$1/include/"; done
    for name in "${names[@]}"; do echo "#include \"$name.pb-c.h\""; done >"$1/include/CWire.h"
}

if [ "${1:-}" = "--check" ]; then
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    generate "$fresh"
    diff -r "$fresh" "$target" || { echo "Sources/CWire is not what Protos/ says; run make protos" >&2; exit 1; }
    echo "Sources/CWire is current"
else
    rm -rf "$target"
    generate "$target"
fi
