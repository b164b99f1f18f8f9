#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60), or only those named, as many at once as there are processors.
#   scripts/fuzz.sh [TARGET...]
# New inputs go to a scratch folder; the corpus in fuzz/corpus is only read. A crash is written to
# fuzz/artifacts. Ends with "N passed, M failed"; fails when a target failed.
set -euo pipefail
cd "$(dirname "$0")/.."
# cargo-fuzz needs the sanitizers, which stable Rust has but does not offer.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}" FUZZ_SECONDS="${FUZZ_SECONDS:-60}"

if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cargo fuzz list); fi
[ ${#targets[@]} -gt 0 ] || { echo "error: no fuzz target found" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export scratch

# fuzz TARGET: its output is shown in one piece, when it has ended.
fuzz() {
  local target=$1 corpora=("$scratch/$1") log=$scratch/$1.log result=ok
  mkdir -p "${corpora[0]}"
  [ ! -d "fuzz/corpus/$target" ] || corpora+=("fuzz/corpus/$target")
  cargo fuzz run "$target" "${corpora[@]}" -- -max_total_time="$FUZZ_SECONDS" -print_final_stats=1 \
    >"$log" 2>&1 || result=FAILED
  if [ "$result" = FAILED ]; then cat "$log"; touch "$scratch/$target.failed"; fi
  printf '%-6s  %s, %s s: %s inputs\n' "$result" "$target" "$FUZZ_SECONDS" \
    "$(awk '/number_of_executed_units/ { print $2 }' "$log")"
}
export -f fuzz

# One build for all: what the runs build afterwards is there already.
if [ $# -eq 0 ]; then cargo fuzz build; fi
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
failed=$(find "$scratch" -maxdepth 1 -name '*.failed' | wc -l)
echo "$((${#targets[@]} - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
