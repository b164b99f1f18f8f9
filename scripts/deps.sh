#!/usr/bin/env bash
# Installs what a step needs and the machine lacks; silent when everything is there.
#   scripts/deps.sh GROUP...     groups: build lint test demo bench fuzz netavark deb
# Debian packages by apt, as root or through sudo; clippy and rustfmt by rustup; cargo-deny, cargo-fuzz, cargo-deb
# and netavark from crates.io.
set -euo pipefail

# Prints "command:package" pairs of a group; a library instead of a command has the form "NAME.pc",
# a file or folder its path.
needs() {
  case $1 in
    build) echo cc:gcc ld:binutils pkg-config:pkg-config libnftnl.pc:libnftnl-dev libmnl.pc:libmnl-dev \
      clang:clang libelf.pc:libelf-dev zlib.pc:zlib1g-dev ;;
    lint) echo shellcheck:shellcheck ;;
    test) echo valgrind:valgrind ip:iproute2 ss:iproute2 iperf3:iperf3 ping:iputils-ping nsenter:util-linux nft:nftables python3:python3 ethtool:ethtool turnserver:coturn dig:bind9-dnsutils musl-gcc:musl-tools zsh:zsh fish:fish \
      dockerd:docker.io docker-compose:docker-compose iptables:iptables promtool:prometheus systemd-nspawn:systemd-container lxc-start:lxc curl:curl \
      busybox:busybox-static wget:wget ifconfig:net-tools dhclient:isc-dhcp-client dhcpcd:dhcpcd-base rdisc6:ndisc6 \
      podman:podman /usr/lib/cni/host-local:containernetworking-plugins \
      etcd:etcd-server java:default-jre-headless /usr/share/java/zookeeper.jar:libzookeeper-java openssl:openssl tshark:tshark \
      /usr/lib/python3/dist-packages/grpc:python3-grpcio /usr/lib/python3/dist-packages/yaml:python3-yaml \
      nginx:nginx-light wrk:wrk nghttpd:nghttp2-server h2load:nghttp2-client redis-server:redis-server redis-benchmark:redis-tools \
      /usr/lib/postgresql:postgresql sshd:openssh-server scp:openssh-client ;;
    demo) echo ip:iproute2 ping:iputils-ping nsenter:util-linux nft:nftables iperf3:iperf3 python3:python3 etcd:etcd-server curl:curl ;;
    bench) echo ethtool:ethtool ip:iproute2 ping:iputils-ping nsenter:util-linux git:git iperf3:iperf3 sockperf:sockperf \
      wrk:wrk nginx:nginx-light busybox:busybox-static dockerd:docker.io iptables:iptables \
      ovs-vswitchd:openvswitch-switch vde_switch:vde2 redis-server:redis-server redis-benchmark:redis-tools \
      dnsperf:dnsperf dig:bind9-dnsutils /usr/lib/cni/host-local:containernetworking-plugins ;;
    fuzz) echo c++:g++ ;;
    netavark) echo protoc:protobuf-compiler ;;
    deb) echo dpkg-shlibdeps:dpkg-dev strip:binutils ;;
    *) echo "error: no group $1 (build, lint, test, demo, bench, fuzz, netavark, deb)" >&2; return 2 ;;
  esac
}

apt() {
  local as=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "error: installing $* needs root or sudo" >&2; return 1; }
    as=(sudo)
  fi
  command -v apt-get >/dev/null || { echo "error: no apt-get here: install $* yourself" >&2; return 1; }
  echo "deps: installing $*"
  hold_services "${as[@]}"
  { "${as[@]}" apt-get update -q && "${as[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# While packages are installed their services (docker, nginx, Open vSwitch) stay down: Debian's
# policy-rc.d says so, unless the machine has one of its own.
policy=/usr/sbin/policy-rc.d
held=()
hold_services() {
  [ ! -e "$policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' | "$@" tee "$policy" >/dev/null
  held=("$@" rm -f "$policy")
  "$@" chmod 755 "$policy"
}
release_services() {
  [ ${#held[@]} -eq 0 ] || "${held[@]}"
  held=()
}

is_there() {
  case $1 in
    *.pc) pkg-config --exists "${1%.pc}" 2>/dev/null ;;
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

rust_component() {
  cargo "$1" --version >/dev/null 2>&1 && return
  command -v rustup >/dev/null || { echo "error: cargo $1 is missing, and so is rustup" >&2; return 1; }
  echo "deps: rustup component add $2"
  rustup component add "$2" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# cargo_tool NAME VERSION: installs cargo-NAME. Without optimisation that takes half a minute, not five.
cargo_tool() {
  cargo "$1" --version >/dev/null 2>&1 || cargo_install "cargo-$1@$2"
}

# cargo_install CRATE OPTION...
cargo_install() {
  echo "deps: cargo install $1"
  env -u CARGO_TARGET_DIR -u RUSTFLAGS CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
    cargo install --locked --debug "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# The real netavark, beside what is built here: that of Debian 12 has no plugins.
netavark() {
  local root=${CARGO_TARGET_DIR:-target}/netavark
  [ -x "$root/bin/netavark" ] || cargo_install netavark@2.1.0 --bin netavark --root "$root"
}

PATH=$PATH:/usr/sbin:/sbin
log=$(mktemp)
trap 'release_services; rm -f "$log"' EXIT
packages=()
for group; do
  pairs=$(needs "$group")
  for pair in $pairs; do
    is_there "${pair%%:*}" || packages+=("${pair#*:}")
  done
done
if [ ${#packages[@]} -gt 0 ]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  apt "${packages[@]}"
fi
for group; do
  case $group in
    lint)
      rust_component clippy clippy
      rust_component fmt rustfmt
      cargo_tool deny 0.20.2
      ;;
    fuzz) cargo_tool fuzz 0.13.2 ;;
    netavark) netavark ;;
    deb) cargo_tool deb 3.8.0 ;;
  esac
done
