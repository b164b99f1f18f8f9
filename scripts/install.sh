#!/usr/bin/env bash
# Installs the programs, plugins of runtimes, manual pages, completions, the unit of systemd, its configuration and the
# documentation; or removes them.
#   scripts/install.sh install BINARIES PREFIX [DESTDIR]     BINARIES: the folder with the programs that cargo built
#   scripts/install.sh uninstall PREFIX [DESTDIR]
# The configuration is left alone where there is one, and removed if nobody changed it.
set -euo pipefail
cd "$(dirname "$0")/.."

# Where containerd looks for plugins; podman looks there and in PREFIX/lib.
cni=/opt/cni/bin
config=/etc/vswitch/vswitch.toml

put() { install -D -m "$1" "$2" "$root$3"; }

# completions SHELL FILE: as the program writes them.
completions() {
  install -d "$root$(dirname "$2")"
  "$binaries/vswitch" completions "$1" >"$root$2"
  chmod 644 "$root$2"
}

install_all() {
  put 755 "$binaries/vswitch" "$prefix/bin/vswitch"
  put 755 "$binaries/vswitch-cni" "$prefix/lib/cni/vswitch-cni"
  put 755 "$binaries/vswitch-netavark" "$prefix/lib/netavark/vswitch-netavark"
  # The file's name is the name of podman's driver.
  ln -sf vswitch-netavark "$root$prefix/lib/netavark/vswitch"
  install -d "$root$cni"
  ln -sf "$prefix/lib/cni/vswitch-cni" "$root$cni/vswitch-cni"

  "$binaries/vswitch" man --dir "$root$prefix/share/man/man1"
  chmod 644 "$root$prefix"/share/man/man1/vswitch*.1
  completions bash "$prefix/share/bash-completion/completions/vswitch"
  completions zsh "$prefix/share/zsh/$site/_vswitch"
  completions fish "$prefix/share/fish/vendor_completions.d/vswitch.fish"

  put 644 packaging/vswitch.service "$prefix/lib/systemd/system/vswitch.service"
  sed -i "s|/usr/bin/|$prefix/bin/|" "$root$prefix/lib/systemd/system/vswitch.service"
  [ -e "$root$config" ] || put 644 packaging/vswitch.toml "$config"

  local page
  for page in README.md CHANGELOG.md docs/*.md docs/openapi.json docs/kubernetes/* docs/monitoring/*; do
    put 644 "$page" "$prefix/share/doc/vswitch/${page#docs/}"
  done
  put 644 packaging/vswitch.toml "$prefix/share/doc/vswitch/examples/vswitch.toml"
}

uninstall_all() {
  rm -f "$root$prefix/bin/vswitch" "$root$prefix/lib/cni/vswitch-cni" "$root$cni/vswitch-cni" \
    "$root$prefix"/lib/netavark/{vswitch,vswitch-netavark} "$root$prefix"/share/man/man1/vswitch*.1 \
    "$root$prefix/share/bash-completion/completions/vswitch" "$root$prefix/share/zsh/$site/_vswitch" \
    "$root$prefix/share/fish/vendor_completions.d/vswitch.fish" "$root$prefix/lib/systemd/system/vswitch.service"
  rm -rf "$root$prefix/share/doc/vswitch"
  if cmp -s packaging/vswitch.toml "$root$config"; then rm "$root$config"; fi
  # Folders that nobody else uses.
  local folder
  for folder in "$prefix/lib/netavark" "$prefix/lib/cni" "$cni" /etc/vswitch; do
    rmdir --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || true
  done
}

case ${1:-} in
  install) binaries=$2 prefix=$3 root=${4:-} ;;
  uninstall) prefix=$2 root=${3:-} ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
# Debian's own packages have theirs elsewhere.
site="site-functions"
[ "$prefix" != /usr ] || site=vendor-completions
"$1_all"
echo "$1: ${root}$prefix, $root$config, $root$cni/vswitch-cni"
