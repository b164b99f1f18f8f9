#!/usr/bin/env bash
# Runs the tests of the crates with unsafe code under AddressSanitizer and LeakSanitizer.
#   scripts/asan.sh [OPTIONS OF CARGO...]
# It finds faults on the heap, the stack and in globals. The frame pool is one mapping: a wrong offset
# within it is found by the pool's own tests only.
set -euo pipefail
# Stable Rust has the sanitizers but does not offer them.
export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address
# With --target, build scripts and macros are built without it.
triple=$(rustc -vV | sed -n 's/^host: //p')
exec "$(dirname "$0")/test.sh" --target "$triple" -p vswitch-fastpath -p vswitch-sys --lib --tests "$@"
