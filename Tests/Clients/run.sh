#!/usr/bin/env bash
# Unchanged clients from PyPI against a live cluster with the bundled model.
#
#   Tests/Clients/run.sh          those that are quick to install: what CI runs
#   Tests/Clients/run.sh --all    the longer list
set -euo pipefail
cd "$(dirname "$0")/../.."

environment=.venv-clients
clients=(openai batch litellm)
packages=('openai>=2,<3' 'litellm>=1.70,<2')
if [ "${1:-}" = --all ]; then
    clients+=(llm locust)
    packages+=('llm>=0.26,<1' 'locust>=2.30,<3')
fi
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"

log=$(mktemp)
jobs=$(mktemp -d)
.build/release/baton up --model Models/baton-tiny --port 0 --rpc "ipc://$(mktemp -u)" --decode-workers 1 --job-store "$jobs/jobs.sqlite" 2>"$log" &
cluster=$!
trap 'kill "$cluster" 2>/dev/null || true; wait "$cluster" 2>/dev/null || true; rm -rf "$log" "$jobs"' EXIT
base=
for _ in $(seq 300); do
    base=$(sed -n 's#.*API at \(http://[^/]*\)/v1.*#\1#p' "$log")
    [ -n "$base" ] && break
    kill -0 "$cluster" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
done
[ -n "$base" ] || { echo "clients: the cluster did not become ready" >&2; cat "$log" >&2; exit 1; }

failed=0
for client in "${clients[@]}"; do
    "$environment/bin/python" "Tests/Clients/${client}_client.py" "$base" || failed=$((failed + 1))
done
echo "$((${#clients[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
