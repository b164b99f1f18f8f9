#!/usr/bin/env bash
# Shows what the switch does, and checks each step. Everything happens in a network namespace that
# plays the host, so that the machine is left alone. Where a Docker daemon answers, the containers are Docker's, without a
# network of its own; else they are network namespaces.
#   VSWITCH_BIN=target/release/vswitch scripts/demo.sh
set -euo pipefail

if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "error: the demo needs root, for namespaces and TAPs" >&2; exit 1; }
  exec sudo -E "$0" "$@"
fi
export PATH=$PATH:/usr/sbin:/sbin
vswitch=$(realpath -e "${VSWITCH_BIN:-$(dirname "$0")/../target/release/vswitch}") ||
  { echo "error: no vswitch binary: run make build" >&2; exit 1; }

dir=$(mktemp -d)
prefix=vswd-$$
host=$prefix-host outside=$prefix-outside
underlay=$prefix-underlay nodes=(n1 n2) etcd=''
containers=(web db client)
passed=0 failed=0 server='' pages=() image=''

cleanup() {
  local status=$? pid ns
  trap - EXIT
  for pid in $server $etcd "${pages[@]}"; do kill "$pid" 2>/dev/null || true; done
  for ns in host "${nodes[@]}"; do
    [ -e "/run/netns/$prefix-$ns" ] || continue
    pid=$(on "$ns" --format json status 2>/dev/null | field pid 2>/dev/null) || pid=
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
  done
  for ns in "$host" "$outside" "$underlay" "$prefix-cache" "${nodes[@]/#/$prefix-}" "${containers[@]/#/$prefix-}"; do
    [ ! -e "/run/netns/$ns" ] || ip netns del "$ns" || true
  done
  if [ -n "$image" ]; then
    docker rm -f "${containers[@]/#/$prefix-}" >/dev/null 2>&1 || true
    docker rmi "$image" >/dev/null 2>&1 || true
  fi
  rm -rf "$dir"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Runs a command in a namespace: only the network differs, so that all see the same /run/netns.
in_ns() {
  local ns=$1
  shift
  timeout 60 nsenter --net="/run/netns/$ns" "$@"
}
# on HOST COMMAND...: the command of the switch on one of the hosts.
on() { VSWITCH_SOCKET=$dir/$1.sock in_ns "$prefix-$1" "$vswitch" "${@:2}"; }
vs() { on host "$@"; }
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; }
# show_on HOST TEXT: what somebody types on that host.
show_on() { printf '%s$ %s\n' "$1" "${*:2}"; }

# field KEY...: a value of the JSON on standard input, by keys and indices.
field() {
  python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if key.isdigit() else key]
print(value)' "$@"
}

# check WHAT COMMAND...: quiet unless it fails.
check() {
  local what=$1
  shift
  if "$@" >"$dir/out" 2>&1; then
    passed=$((passed + 1))
    printf '  ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf '  FAILED  %s\n' "$what"
    sed 's/^/          /' "$dir/out"
  fi
}

# pages NAMESPACE TEXT: serves a page with that text at port 80 of a namespace.
pages() {
  mkdir -p "$dir/$2"
  echo "$2" >"$dir/$2/index.html"
  nsenter --net="/run/netns/$1" python3 -m http.server 80 --bind :: --directory "$dir/$2" >/dev/null 2>&1 &
  pages+=("$!")
  for _ in $(seq 50); do
    in_ns "$1" ss -ltn | grep -q ':80 ' && return 0
    sleep 0.1
  done
  return 1
}

# fetch NAMESPACE URL: prints the page, within five seconds.
fetch() {
  in_ns "$1" python3 - "$2" <<'PYTHON'
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode().strip())
PYTHON
}

# fetches NAMESPACE URL TEXT: the page has that text.
fetches() { same "$(fetch "$1" "$2")" "$3"; }

# gone NAME: it is no longer attached, within two seconds.
gone() {
  for _ in $(seq 20); do
    vs ls | grep -qw "$1" || return 0
    sleep 0.1
  done
  vs ls
  return 1
}

# Whether Docker runs containers here; makes an image for them, without a registry.
has_docker() {
  [ -x /bin/busybox ] && timeout 10 docker version >/dev/null 2>&1 || return 1
  mkdir -p "$dir/rootfs/bin"
  cp /bin/busybox "$dir/rootfs/bin/sh"
  tar -C "$dir/rootfs" -c . | docker import - "$prefix" >/dev/null || return 1
  image=$prefix
}

# container NAME: a container with a loopback interface only; its namespace is $prefix-NAME.
container() {
  if [ -n "$image" ]; then
    docker run -d --network none --name "$prefix-$1" "$image" sh -c 'sleep 100000' >/dev/null
    ip netns attach "$prefix-$1" "$(docker inspect --format '{{.State.Pid}}' "$prefix-$1")"
  else
    ip netns add "$prefix-$1"
  fi
  in_ns "$prefix-$1" ip link set lo up
}

# attach NAME
attach() {
  if [ -n "$image" ]; then
    vs attach --container "$prefix-$1" --name "$1"
  else
    vs attach --netns "$prefix-$1" --name "$1"
  fi
}

# kill_container NAME
kill_container() {
  [ -z "$image" ] || docker rm -f "$prefix-$1" >/dev/null
  ip netns del "$prefix-$1"
}

same() { [ "$1" = "$2" ] || { printf 'expected: %s\ngot: %s\n' "$2" "$1"; return 1; }; }

# What the namespace looks like from outside.
picture() {
  in_ns "$host" ip -o link
  in_ns "$host" ip -o address
  in_ns "$host" ip -4 route show table all
  in_ns "$host" ip -6 route show table all
  in_ns "$host" ip rule
  in_ns "$host" nft list ruleset
  in_ns "$host" sh -c 'grep -rs . /proc/sys/net' | grep -v nf_conntrack_count || true
}

if has_docker; then
  say "A host on a LAN, another host there, and three containers of Docker, run with --network none"
else
  say "A host on a LAN, another host there, and three containers, each nothing but a network namespace"
fi
for ns in "$host" "$outside"; do
  ip netns add "$ns"
  in_ns "$ns" ip link set lo up
done
in_ns "$host" ip link add lan0 type veth peer name lan1 netns "$outside"
in_ns "$host" ip link set lan0 addrgenmode none
in_ns "$host" ip addr add 192.0.2.1/24 dev lan0
in_ns "$host" ip addr add 2001:db8::1/64 dev lan0 nodad
in_ns "$host" ip addr add fe80::1/64 dev lan0 nodad
in_ns "$outside" ip addr add 192.0.2.254/24 dev lan1
in_ns "$outside" ip addr add 2001:db8::254/64 dev lan1 nodad
in_ns "$outside" ip link set lan1 up
in_ns "$host" ip link set lan0 up
in_ns "$host" ip route add default via 192.0.2.254
in_ns "$host" ip route add default via 2001:db8::254
in_ns "$host" ping -n -c1 -W5 192.0.2.254 >"$dir/out"
for _ in $(seq 50); do
  in_ns "$host" ip link show lan0 | grep -q 'state UP' && break
  sleep 0.1
done
for name in "${containers[@]}"; do container "$name"; done
picture >"$dir/before"

say "Start the switch"
show vswitch up --bridge br0 --detach
check "the switch is up" vs up --bridge br0 --state-dir "$dir/state" --detach
vs status

say "Plug the containers in"
for name in "${containers[@]}"; do
  if [ -n "$image" ]; then
    show vswitch attach --container "$name"
  else
    show vswitch attach --netns "$name" --name "$name"
  fi
  check "$name is attached" attach "$name"
done
vs ls

say "They talk, over IPv4 and IPv6, with each other and with the host"
web4=$(vs --format json inspect web | field 0 ipv4 0)
web6=$(vs --format json inspect web | field 0 ipv6 0)
gateway=$(vs --format json inspect web | field 0 gateways 0)
check "client -> web, $web4" in_ns "$prefix-client" ping -n -c3 -i0.2 -W2 "$web4"
check "client -> web, $web6" in_ns "$prefix-client" ping -n -c3 -i0.2 -W2 "$web6"
check "client -> host, $gateway" in_ns "$prefix-client" ping -n -c3 -i0.2 -W2 "$gateway"
check "host -> web, $web4" in_ns "$host" ping -n -c3 -i0.2 -W2 "$web4"

say "They reach the world: addresses are translated in user space"
pages "$outside" from-outside
for url in http://192.0.2.254/ 'http://[2001:db8::254]/'; do
  check "client fetches $url" fetches "$prefix-client" "$url" from-outside
done
check "client -> 192.0.2.254, ping" in_ns "$prefix-client" ping -n -c3 -i0.2 -W2 192.0.2.254
show vswitch conntrack ls
vs conntrack ls

say "The world reaches a published port"
pages "$prefix-web" from-web
show vswitch publish web 8080:80
check "8080 is published" vs publish web 8080:80
for url in http://192.0.2.1:8080/ 'http://[2001:db8::1]:8080/'; do
  check "outside fetches $url" fetches "$outside" "$url" from-web
done
check "client fetches it by the host's address" fetches "$prefix-client" http://192.0.2.1:8080/ from-web
check "the host fetches it by 127.0.0.1" fetches "$host" http://127.0.0.1:8080/ from-web
check "the host fetches it by ::1" fetches "$host" 'http://[::1]:8080/' from-web
show vswitch unpublish web 8080:80
check "8080 is the host's again" vs unpublish web 8080:80
refused() { ! fetch "$@"; }
check "outside is refused" refused "$outside" http://192.0.2.1:8080/
for pid in "${pages[@]}"; do kill "$pid"; done
wait "${pages[@]}" 2>/dev/null || true
pages=()

say "A second network: apart, until a container is on both"
show vswitch network create --internal backend
check "the network backend is created" vs network create --internal backend
show vswitch network connect backend db
check "db is on both networks" vs network connect backend db
ip netns add "$prefix-cache"
in_ns "$prefix-cache" ip link set lo up
check "cache is attached to backend" \
  vs attach --netns "$prefix-cache" --name cache --network backend
vs network ls
cache4=$(vs --format json inspect cache | field 0 ipv4 0)
unreachable() { ! in_ns "$1" ping -n -c1 -W1 "$2"; }
check "db -> cache, $cache4" in_ns "$prefix-db" ping -n -c3 -i0.2 -W2 "$cache4"
check "client does not reach cache" unreachable "$prefix-client" "$cache4"
check "cache does not reach the world" unreachable "$prefix-cache" 192.0.2.254
check "db still does" in_ns "$prefix-db" ping -n -c1 -W2 192.0.2.254

say "Names: a container knows those of its networks"
show vswitch run --network backend -- ping db
check "db by its name, on backend" vs run --network backend -- ping -n -c1 -W2 db
check "db by its name, on br0" vs run -- ping -n -c1 -W2 db
check "cache by its name, on two networks" \
  vs run --network br0 --network backend -- ping -n -c1 -W2 cache
unknown() { ! vs run --network backend -- ping -n -c1 -W1 "$1"; }
check "backend does not know web" unknown web
show vswitch dns ls
vs dns ls
show vswitch network rm --force backend
check "backend is removed" vs network rm --force backend
ip netns del "$prefix-cache"

say "How fast (iperf3, 3 s, one stream; for a comparison see make bench)"
nsenter --net="/run/netns/$prefix-web" iperf3 -s >/dev/null 2>&1 &
server=$!
for _ in $(seq 50); do
  in_ns "$prefix-web" ss -ltn | grep -q :5201 && break
  sleep 0.1
done
rate() {
  in_ns "$prefix-client" iperf3 -J -t3 -c "$1" >"$dir/iperf" || { cat "$dir/iperf"; return 1; }
  python3 - "$dir/iperf" <<'PYTHON'
import json, sys
end = json.load(open(sys.argv[1]))["end"]["sum_received"]["bits_per_second"] / 1e9
print(f"{end:.1f} Gbit/s")
sys.exit(end <= 0.1)
PYTHON
}
check "TCP over IPv4" rate "$web4"
printf '          %s\n' "$(cat "$dir/out")"
check "TCP over IPv6" rate "$web6"
printf '          %s\n' "$(cat "$dir/out")"
kill "$server"
wait "$server" 2>/dev/null || true
server=

say "What the switch has learnt, and counted"
show vswitch fdb
vs fdb
for name in "${containers[@]}"; do
  mac=$(vs --format json inspect "$name" | field 0 mac)
  check "$name's $mac is in the forwarding database" grep -q "$mac" <(vs fdb)
done
show vswitch stats
vs stats

say "Run a command in a namespace of its own"
show "vswitch run --name once -- sh -c 'ping -c1 $web4 && exit 7'"
code=0
vs run --name once -- sh -c "ping -n -c1 -W2 $web4 && exit 7" || code=$?
check "its exit code came through" same "$code" 7
check "its port is gone" gone once

say "A container that dies takes its port with it"
kill_container db
check "db is gone" gone db

say "Stop the switch"
show vswitch down
check "the switch is down" vs down
picture >"$dir/after"
check "the host is as it was: links, addresses, routes, rules, nftables, sysctls" diff "$dir/before" "$dir/after"
check "nothing is left in a container" same "$(in_ns "$prefix-web" ip -o link | wc -l)" 1

say "Two hosts on a network, where etcd runs, too: they share an overlay network"
ip netns add "$underlay"
in_ns "$underlay" ip link set lo up
in_ns "$underlay" ip link add ul type bridge
in_ns "$underlay" ip addr add 198.18.7.9/24 dev ul
in_ns "$underlay" ip link set ul up
for node in "${nodes[@]}"; do
  ip netns add "$prefix-$node"
  in_ns "$prefix-$node" ip link set lo up
  in_ns "$prefix-$node" ip link add ul type veth peer name "$node" netns "$underlay"
  in_ns "$prefix-$node" ip addr add "198.18.7.${node#n}/24" dev ul
  in_ns "$prefix-$node" ip link set ul up
  in_ns "$underlay" ip link set "$node" master ul up
done
start_etcd() {
  nsenter --net="/run/netns/$underlay" etcd --data-dir "$dir/etcd" --listen-client-urls http://198.18.7.9:2379 \
    --advertise-client-urls http://198.18.7.9:2379 >"$dir/etcd.log" 2>&1 &
  etcd=$!
  for _ in $(seq 100); do
    in_ns "$underlay" curl -s -m1 http://198.18.7.9:2379/health | grep -q true && return 0
    sleep 0.1
  done
  cat "$dir/etcd.log"
  return 1
}
check "etcd serves" start_etcd
registry=etcd://198.18.7.9:2379
for node in "${nodes[@]}"; do
  show_on "$node" vswitch up --bridge br0 --node "$node" --underlay "198.18.7.${node#n}" --registry "$registry" --detach
  check "the switch is up on $node" on "$node" up --bridge br0 --node "$node" --underlay "198.18.7.${node#n}" \
    --registry "$registry" --state-dir "$dir/$node" --detach
done
show_on n1 vswitch network create blue --overlay --subnet 10.50.0.0/16
check "n1 creates the network blue" on n1 network create blue --overlay --subnet 10.50.0.0/16

# soon COMMAND...: it succeeds within five seconds.
soon() {
  for _ in $(seq 25); do
    "$@" && return 0
    sleep 0.2
  done
  return 1
}
has_blue() { on n2 network ls | grep -w blue; }
check "n2 has it" soon has_blue
show_on n2 vswitch network ls
on n2 network ls
mkdir "$dir/site"
echo from-n1 >"$dir/site/index.html"
show_on n1 vswitch run --name web --network blue -- python3 -m http.server 80
# Not by a function, whose process would be killed in its place.
VSWITCH_SOCKET=$dir/n1.sock nsenter --net="/run/netns/$prefix-n1" "$vswitch" run --name web --network blue -- \
  python3 -m http.server 80 --directory "$dir/site" >/dev/null 2>&1 &
pages=("$!")
by_name() { same "$(on n2 run --name cli --network blue -- curl -s -m5 http://web/)" from-n1; }
show_on n2 vswitch run --name cli --network blue -- curl http://web/
check "n2 fetches the page of n1 by its name" soon by_name
show_on n2 vswitch run --network blue -- ping web
check "n2 pings it" on n2 run --network blue -- ping -n -c2 -i0.2 -W2 web
show_on n1 vswitch peers
on n1 peers
show_on n1 vswitch registry status
on n1 registry status
say "etcd is away: what is there goes on"
kill "$etcd"
wait "$etcd" 2>/dev/null || true
etcd=
check "n2 still fetches the page" by_name
start_etcd >/dev/null
for pid in "${pages[@]}"; do kill "$pid"; done
wait "${pages[@]}" 2>/dev/null || true
pages=()
for node in "${nodes[@]}"; do
  show_on "$node" vswitch down
  check "the switch is down on $node" on "$node" down
done

echo
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
