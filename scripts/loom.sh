#!/usr/bin/env bash
# Checks the lock-free ring under every interleaving that loom can make (`make loom`).
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom"
cargo test -p vswitch-fastpath --lib loom -- --nocapture
