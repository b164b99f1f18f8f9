#!/usr/bin/env bash
# Installs the binary, its manual pages and completions.
#   scripts/install.sh BINARY PREFIX
set -euo pipefail

binary=$1 prefix=$2
install -Dm755 "$binary" "$prefix/bin/vswitch"
install -d "$prefix/share/man/man1" "$prefix/share/bash-completion/completions" \
  "$prefix/share/zsh/site-functions" "$prefix/share/fish/vendor_completions.d"
"$binary" man --dir "$prefix/share/man/man1"
"$binary" completions bash >"$prefix/share/bash-completion/completions/vswitch"
"$binary" completions zsh >"$prefix/share/zsh/site-functions/_vswitch"
"$binary" completions fish >"$prefix/share/fish/vendor_completions.d/vswitch.fish"
echo "installed in $prefix: bin/vswitch, share/man/man1/vswitch*.1, completions"
