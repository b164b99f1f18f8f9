#!/usr/bin/env bash
# Runs the tests by cargo test.
#   scripts/test.sh [OPTIONS OF CARGO...]     without a package: the whole workspace
# End-to-end tests need root: without it the test programs are started through sudo. Where there is no
# sudo they fail and say so.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin

case " $* " in *" -p "*) scope=() ;; *) scope=(--workspace) ;; esac

if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; then
  triple=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
  export "CARGO_TARGET_${triple}_RUNNER=sudo -E"
fi

# Tests with namespaces wait more than they compute: one more at a time than there are processors.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) + 1))}

# The allocator gives tables of megabytes back to the kernel, as it does until the first of them is freed. Else it keeps
# them, and clears the table of connections, 1,048,576 of them, for each of the simulator's tests anew.
export MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-1048576}

cargo test --no-fail-fast "${scope[@]}" "$@"
