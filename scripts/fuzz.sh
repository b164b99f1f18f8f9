#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS (60), or only those named.
#   scripts/fuzz.sh [TARGET...]
# New inputs go to a scratch folder; the corpus in fuzz/corpus is only read. A crash is written to
# fuzz/artifacts and ends the run.
set -euo pipefail
cd "$(dirname "$0")/.."
# cargo-fuzz needs the sanitizers, which stable Rust has but does not offer.
export RUSTC_BOOTSTRAP=1

cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(cargo fuzz list); fi
[ ${#targets[@]} -gt 0 ] || { echo "error: no fuzz target found" >&2; exit 1; }
for target in "${targets[@]}"; do
  echo "== $target, ${FUZZ_SECONDS:-60} s"
  corpora=("$scratch/$target")
  mkdir -p "${corpora[0]}"
  [ ! -d "fuzz/corpus/$target" ] || corpora+=("fuzz/corpus/$target")
  cargo fuzz run "$target" "${corpora[@]}" -- -max_total_time="${FUZZ_SECONDS:-60}" -print_final_stats=1
done
echo "${#targets[@]} passed, 0 failed"
