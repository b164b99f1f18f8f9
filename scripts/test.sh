#!/usr/bin/env bash
# Runs the tests: by cargo-nextest where it is installed, else by cargo test.
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

if cargo nextest --version >/dev/null 2>&1; then
  cargo nextest run --no-fail-fast "${scope[@]}" "$@"
  # nextest does not run the examples in the documentation.
  [ ${#scope[@]} -eq 0 ] || cargo test --doc "${scope[@]}" "$@"
else
  cargo test --no-fail-fast "${scope[@]}" "$@"
fi
