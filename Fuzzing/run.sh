#!/usr/bin/env bash
# Builds the fuzzer with AddressSanitizer and runs each target, or the one named by TARGET.
#   RUNS     inputs per target (200000); given, it is not cut short by time
#   SECONDS_PER_TARGET   the default's limit (35)
#   MERGE=1  afterwards keep in the committed corpus what reached something new
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=.build-fuzz
found=$scratch/findings
seeds=Tests/Fixtures/fuzz
limit=${SECONDS_PER_TARGET:-35}
[ -z "${RUNS:-}" ] || limit=0
runs=${RUNS:-200000}

# Swift takes the last `-sanitize`, so both are named in one; C and the linker take each.
swift build --package-path Fuzzing --scratch-path $scratch -c release --product fuzz \
    --sanitize address --sanitize fuzzer -Xswiftc -sanitize=address,fuzzer 2>&1 | grep -v 'ld.gold: warning: Cannot export local symbol' >&2
fuzz=$scratch/release/fuzz

# SYMBOLIZE=1 names the functions of a crash, which can take minutes. Swift's runtime keeps what it allocated once; leaks are looked for elsewhere.
export ASAN_OPTIONS=detect_leaks=0:symbolize=${SYMBOLIZE:-0}:allocator_may_return_null=1
# The fuzzer itself judges processor time and memory per input; these catch what never returns.
flags=(-timeout=20 -rss_limit_mb=2048 -max_len=16384 -detect_leaks=0 -use_value_profile=1 -print_final_stats=1 -reload=0)

failed=()
printf '%-12s %12s %10s %8s %8s  %s\n' target executions 'exec/s' edges corpus result
for target in ${TARGET:-json config tokenizer template toolcalls safetensors gguf schema regex gbnf kv control rpc}; do
    mkdir -p "$found/$target" "$scratch/corpus/$target"
    log=$found/$target/log
    result=clean
    FUZZ_TARGET=$target "$fuzz" "${flags[@]}" -runs="$runs" -max_total_time="$limit" -artifact_prefix="$found/$target/" \
        "$scratch/corpus/$target" "$seeds/$target" >"$log" 2>&1 || result=FINDING
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -1)
    state=$(grep -E '^#[0-9]+.* cov: ' "$log" | tail -1)
    edges=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' <<<"$state")
    corpus=$(sed -n 's/.* corp: \([0-9]*\).*/\1/p' <<<"$state")
    printf '%-12s %12s %10s %8s %8s  %s\n' "$target" "${executions:-?}" "${rate:-?}" "${edges:-?}" "${corpus:-?}" "$result"
    # Parsers that are not instrumented would look clean for ever.
    if [ "${edges:-0}" -lt 300 ]; then
        echo "    only ${edges:-0} edges: the parser was built without coverage, see $log" >&2
        failed+=("$target")
    fi
    if [ "$result" = FINDING ]; then
        failed+=("$target")
        grep -E 'FINDING|ERROR|SUMMARY|Fatal|Test unit written' "$log" | sed 's/^/    /' || true
    elif [ -n "${MERGE:-}" ]; then
        FUZZ_TARGET=$target "$fuzz" "${flags[@]}" -use_value_profile=0 -merge=1 "$seeds/$target" "$scratch/corpus/$target" >>"$log" 2>&1
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "findings in: ${failed[*]}; the inputs and logs lie in $found/; FUZZ_TARGET=<target> $fuzz <file> repeats one" >&2
    exit 1
fi
