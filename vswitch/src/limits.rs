//! The limits that a user can act on: names, values, hits.
//!
//! Each crate and each stage keeps its limits in a file `limits.rs`. This is the list that
//! `vswitch status --limits` shows, the daemon logs at level `debug` when it starts, and Prometheus reads. A limit that
//! can be hit names its counter: one of the workers, a drop reason, or [`Refusals`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vswitch_api::limits::{Component, Limit};
use vswitch_counters::{CutThroughCounters, DnsCounters, WorkerStats};

use crate::datapath::{DropReason, PortCounters};

/// Commands in the queue of a worker.
pub(crate) const COMMANDS_MAX: usize = 1024;

/// Events in the queue of control: each port on each worker, each worker, each port once for a loop,
/// next hops to resolve, and DHCP requests.
pub(crate) const EVENTS_MAX: usize =
    (PORTS_MAX + 1) * WORKERS_MAX + PORTS_MAX + RESOLVES_MAX + DHCP_REQUESTS_MAX;

/// DHCP requests and router solicitations in that queue; further ones are lost.
pub(crate) const DHCP_REQUESTS_MAX: usize = 256;

/// Time between two steps of the sweep of the forwarding database.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How long an ending worker waits for writes in flight.
pub(crate) const WORKER_DRAIN_MAX: Duration = Duration::from_secs(2);

/// Threads that close the ports of an ending worker.
pub(crate) const CLOSERS_MAX: usize = 32;

/// Frames of up to [`HANDOFF_SMALL_BYTES`] in the handoff queue from one worker to another.
pub(crate) const HANDOFF_SMALL_MAX: usize = 256;

/// Longer frames in that queue. Frames above either limit are dropped as `handoff-full`.
pub(crate) const HANDOFF_LARGE_MAX: usize = 64;

/// Longest small frame in bytes, with the virtio-net header; most longer ones are GSO frames.
pub(crate) const HANDOFF_SMALL_BYTES: usize = 2048;

/// Interval of the throttle's check, and the sleep of a worker when only throttled ports have frames.
pub(crate) const THROTTLE_PERIOD: Duration = Duration::from_millis(1);

/// Frames a period from a throttled port, most of whose frames are dropped.
pub(crate) const THROTTLE_FRAMES: u64 = 32;

/// How long a port stays throttled after its last offence.
pub(crate) const THROTTLE_TIME: Duration = Duration::from_millis(16);

/// Small frames a period without replies, above which a port floods.
pub(crate) const FLOOD_FRAMES: u64 = 64;

/// Mean length in bytes below which frames are small.
pub(crate) const FLOOD_BYTES_PER_FRAME: u64 = 512;

use crate::control::limits::*;
use crate::datapath::limits::*;
use crate::dns::limits::*;
use crate::docker::limits::*;
use crate::engine::limits::*;
use crate::host::limits::*;
use crate::host::proxy_counters::{
    CLIENTS_EVICTED, CONNECTIONS_REFUSED, DATAGRAMS_DROPPED, RELAYED_CLIENTS_EVICTED, SYNS_PASSED,
    SharedCounter,
};
use crate::server::limits::*;
use fastpath::limits::*;
use nat::limits::*;
use vswitch_cutthrough::CONNECTIONS_MAX as CUT_THROUGH_CONNECTIONS_MAX;
use vswitch_dhcp::limits::*;

/// The counter that a limit's hits come from.
#[derive(Debug, Clone, Copy)]
enum Hits {
    /// No counter.
    Never,
    Worker(fn(&WorkerStats) -> u64),
    Dns(fn(&DnsCounters) -> u64),
    CutThrough(fn(&CutThroughCounters) -> u64),
    Proxy(&'static SharedCounter),
    Drops(DropReason),
    Refusals,
}

/// A limit's value as a number, with the unit of its type.
trait Value {
    fn value(self, unit: &'static str) -> (u64, &'static str);
}

macro_rules! values {
    ($($type:ty),*) => {$(impl Value for $type {
        fn value(self, unit: &'static str) -> (u64, &'static str) {
            (self as u64, unit)
        }
    })*};
}

values!(usize, u64, u32);

impl Value for Duration {
    fn value(self, _: &'static str) -> (u64, &'static str) {
        match self.subsec_nanos() {
            0 => (self.as_secs(), "s"),
            _ => (self.as_millis() as u64, "ms"),
        }
    }
}

impl Value for vswitch_api::port_settings::limits::FrameRate {
    fn value(self, unit: &'static str) -> (u64, &'static str) {
        (self.get(), unit)
    }
}

struct Row {
    component: Component,
    name: &'static str,
    value: (u64, &'static str),
    on_exceed: &'static str,
    hits: Hits,
}

macro_rules! rows {
    ($($component:ident { $($name:literal = $constant:ident, $unit:literal, $on_exceed:literal, $hits:expr;)* })*) => {
        vec![$($(Row {
            component: Component::$component,
            name: $name,
            value: $constant.value($unit),
            on_exceed: $on_exceed,
            hits: $hits,
        },)*)*]
    };
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    use Hits::{CutThrough, Dns, Drops, Never, Proxy, Refusals, Worker};
    rows! {
        Port {
            "ports" = PORTS_MAX, "ports", "an attach is refused", Refusals;
            "detach-wait" = DETACH_WAIT_MAX, "", "an attach under the name of a port that is being detached is refused", Refusals;
            "networks" = NETWORKS_MAX, "networks", "a network is refused", Refusals;
            "reachable-from" = REACHABLE_FROM_MAX, "networks", "the network is refused", Refusals;
            "network-peers" = PEERS_MAX, "peers", "a further one of the network is refused", Refusals;
            "peers" = VTEPS_MAX, "peers", "a further one is refused", Refusals;
            "subnets" = POOL_SUBNETS, "subnets", "a network without a subnet of its own is refused", Refusals;
            "address-pools" = ADDRESS_POOLS_MAX, "pools", "a pool of a container engine is refused", Refusals;
            "further-addresses" = FURTHER_ADDRESSES_MAX, "addresses", "the attach is refused", Refusals;
            "aliases" = ALIASES_MAX, "names", "the attach is refused", Refusals;
            "labels" = LABELS_MAX, "labels", "the attach is refused", Refusals;
            "waiting-containers" = WAITING_MAX, "attachments", "the attachment of a container that ends is forgotten", Refusals;
            "engine-answer" = ENGINE_BYTES_MAX, "bytes", "the attach fails", Never;
            "engine-time" = ENGINE_TIME_MAX, "", "the attach fails", Never;
            "reservations" = RESERVATIONS_MAX, "addresses", "a reservation in the network is refused", Refusals;
            "port-macs" = MACS_PER_PORT, "addresses", "not learnt; frames pass", Worker(|count| count.mac_limit);
            "port-writes" = WRITES_PER_PORT_MAX, "frames", "dropped as tx-queue-full", Worker(|count| count.writes_cut);
            "storm-broadcast" = STORM_BROADCAST, "frames/s", "dropped as storm-broadcast", Drops(DropReason::StormBroadcast);
            "storm-multicast" = STORM_MULTICAST, "frames/s", "dropped as storm-multicast", Drops(DropReason::StormMulticast);
            "storm-unknown" = STORM_UNKNOWN, "frames/s", "dropped as storm-unknown", Drops(DropReason::StormUnknown);
            "loop-mac-moves" = FLAP_MOVES_MAX, "moves", "the port is blocked", Worker(|count| count.loop_blocks);
            "loop-block-time" = BLOCK_MAX, "", "the blocked port opens again", Never;
        }
        Dhcp {
            "dhcp-port-requests" = DHCP_REQUESTS_PER_PORT, "requests/s", "dropped as dhcp-limit", Drops(DropReason::DhcpLimit);
            "dhcp-requests" = DHCP_REQUESTS_MAX, "requests", "not answered; the client asks again", Worker(|count| count.dhcp_requests_lost);
            "dhcp-lease" = LEASE, "", "the client renews it at half of that time", Never;
            "router-advertisement-interval" = ADVERT_INTERVAL, "", "advertised again", Never;
        }
        Worker {
            "buffers" = POOL_FRAMES, "frames", "ports are read in the next round", Worker(|count| count.pool_exhausted);
            "throttled-frames" = THROTTLE_FRAMES, "frames/ms", "a throttled port: further frames wait in the kernel", Worker(|count| count.throttles);
            "handoff-frames" = HANDOFF_SMALL_MAX, "frames", "dropped as handoff-full", Drops(DropReason::HandoffFull);
            "worker-commands" = COMMANDS_MAX, "commands", "a request fails", Refusals;
        }
        Fdb {
            "fdb-entries" = FDB_SLOTS, "addresses", "an entry of the port that holds most is evicted", Worker(|count| count.fdb_evictions);
            "network-fdb-entries" = FDB_ENTRIES_PER_NETWORK, "addresses", "an entry of that port is evicted, or the address is not learnt", Worker(|count| count.fdb_full + count.fdb_statics_full);
            "static-entries" = STATICS_MAX, "addresses", "a static entry is refused", Refusals;
            "fdb-ageing" = AGEING_S, "s", "a silent address is forgotten", Never;
            "multicast-listeners" = GROUP_ROWS_MAX, "listeners", "a listener of the port that has most is evicted", Worker(|count| count.mdb_full);
        }
        Nat {
            "cut-through-connections" = CUT_THROUGH_CONNECTIONS_MAX, "connections", "further ones go through the switch", CutThrough(|count| count.full);
            "connections" = NAT_CONNECTIONS, "connections", "one of the same container is evicted, or dropped as nat-table-full", Drops(DropReason::NatTableFull);
            "container-connections" = CONNECTIONS_PER_CONTAINER, "connections", "dropped as nat-quota; each worker counts its own", Drops(DropReason::NatQuota);
            "mappings" = MAPPINGS_MAX, "endpoints", "dropped as nat-no-port", Drops(DropReason::NatNoPort);
            "snat-sockets" = SNAT_SOCKETS_PERCENT, "% of the limit of open files", "no further ports are claimed: dropped as nat-no-port", Refusals;
            "snat-blocks" = PORT_BLOCKS_MIN, "blocks of 64 ports", "further ones are claimed, for each worker and transport", Never;
            "shared-ports" = PORTS_SHARED_BELOW_PERCENT, "% of the claimed ports free", "TCP connections to other destinations share ports, where no further block is to be had", Worker(|count| count.connections_shared);
            "tcp-resets" = RESET_RATE, "segments/s", "the sender gets no reset", Worker(|count| count.resets_suppressed);
            "picked-up-idle" = TCP_PICKED_UP_IDLE, "", "a connection that was picked up, and that only one peer speaks on, ends", Never;
            "tcp-idle" = TCP_ESTABLISHED_IDLE, "", "the connection ends", Never;
            "udp-idle" = UDP_IDLE, "", "the connection ends", Never;
            "sctp-idle" = SCTP_IDLE, "", "the connection ends", Never;
            "fragments" = FRAGMENT_FRAMES_MAX, "frames", "dropped as fragment-table-full", Drops(DropReason::FragmentTableFull);
            "fragment-wait" = FRAGMENT_TIMEOUT, "", "dropped as fragment-timeout", Drops(DropReason::FragmentTimeout);
            "icmp-errors" = ICMP_ERROR_RATE, "messages/s", "the sender gets no ICMP error", Worker(|count| count.icmp_errors_suppressed);
        }
        Uplink {
            "neighbour-queue" = NEIGHBOUR_QUEUE_MAX, "frames", "dropped as neighbour-queue-full", Drops(DropReason::NeighbourQueueFull);
            "neighbour-wait" = NEIGHBOUR_QUEUE_TIMEOUT, "", "dropped as no-neighbour", Drops(DropReason::NoNeighbour);
            "resolves" = RESOLVES_MAX, "next hops", "resolved with their next frame", Worker(|count| count.resolves_dropped);
            "routes" = ROUTES_MAX, "routes", "the longest prefixes are ignored", Never;
            "publications" = PUBLICATIONS_MAX, "publications", "a further one of the container is refused", Refusals;
            "allow-from-prefixes" = ALLOW_FROM_MAX, "prefixes", "the publication is refused", Refusals;
            "proxy-clients" = PROXY_CLIENTS_MAX, "clients", "the least recently used client of UDP on ::1 is forgotten", Proxy(&CLIENTS_EVICTED);
            "relayed-clients" = RELAYED_CLIENTS_MAX, "clients", "the least recently used client of UDP by a device that is no uplink is forgotten", Proxy(&RELAYED_CLIENTS_EVICTED);
            "relayed-connections" = RELAYED_CONNECTIONS_MAX, "connections", "a further one by a device that is no uplink waits", Never;
            "port-connections" = PROXY_CONNECTIONS_MAX, "connections", "a further one by a device that is no uplink is reset, one to ::1 waits", Proxy(&CONNECTIONS_REFUSED);
            "proxy-syns" = PROXY_SYNS_MAX, "SYNs", "a further client on ::1 is accepted before the container is", Proxy(&SYNS_PASSED);
            "proxy-send-time" = PROXY_SEND_MAX, "", "the datagram to ::1, or by a device that is no uplink, is dropped", Proxy(&DATAGRAMS_DROPPED);
            "host-port-tries" = PORT_ALLOC_TRIES_MAX, "ports", "a publication of port 0 is refused", Refusals;
        }
        Dns {
            "dns-queries" = QUERIES_PER_CLIENT_MAX, "queries", "a further one of the container is refused while these wait for upstream", Dns(|count| count.queries_limited);
            "dns-connections" = CONNECTIONS_PER_CLIENT_MAX, "connections", "a further one of the container is closed", Dns(|count| count.connections_limited);
            "dns-all-connections" = DNS_CONNECTIONS_MAX, "connections", "further ones are closed", Dns(|count| count.all_connections_limited);
            "dns-read-time" = TCP_READ_MAX, "", "the connection is closed", Dns(|count| count.connections_slow);
            "dns-write-time" = TCP_WRITE_MAX, "", "the connection is closed", Dns(|count| count.connections_slow);
            "dns-upstream-time" = UPSTREAM_TIME_MAX, "", "the answer is SERVFAIL", Dns(|count| count.upstream_failed);
            "dns-forwards" = FORWARDS_MAX, "questions", "the answer is SERVFAIL", Dns(|count| count.forwards_limited);
            "dns-upstreams" = UPSTREAMS_MAX, "servers", "further ones are not used", Never;
            "dns-cached-answers" = CACHE_ANSWERS_MAX, "answers", "older ones are forgotten", Never;
            "dns-name-ttl" = NAME_TTL_S, "s", "a client asks again", Never;
        }
        Api {
            "api-connections" = CONNECTIONS_MAX, "connections", "further ones wait, up to `api-held-connections`", Refusals;
            "api-process-connections" = PEER_CONNECTIONS_MAX, "connections", "further ones of the process wait", Never;
            "api-spare-connections" = SPARE_CONNECTIONS, "connections", "further ones wait, also of processes that have none", Never;
            "api-held-connections" = HELD_CONNECTIONS_MAX, "connections", "of those that wait or are served, the process that has most loses one", Never;
            "api-answer-time" = ANSWER_READ_MAX, "", "a connection that is to be closed for another one is cut off", Never;
            "docker-connections" = DOCKER_CONNECTIONS_MAX, "connections", "further ones of Docker wait, up to four times as many", Refusals;
            "docker-request-body" = DOCKER_BODY_MAX, "bytes", "the request of Docker is refused", Refusals;
            "event-clients" = EVENT_CLIENTS_MAX, "clients", "a further one is refused", Refusals;
            "event-queue" = EVENT_QUEUE_MAX, "events", "a client that is so far behind is disconnected", Refusals;
            "metrics-connections" = METRICS_CONNECTIONS_MAX, "connections", "further ones wait, up to four times as many", Refusals;
            "request-head-time" = HEADER_READ_MAX, "", "the connection is closed", Refusals;
            "request-body" = BODY_MAX, "bytes", "the request is refused", Refusals;
            "request-body-time" = BODY_READ_MAX, "", "the request is refused", Refusals;
        }
    }
}

/// Requests refused, by the name of the limit.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Refusals {
    /// Counts a refusal.
    pub(crate) fn count(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(0)
    }
}

/// The counters that have hits of limits. Those of workers and ports are sums over all of them.
pub(crate) struct Counted<'c> {
    pub(crate) workers: &'c WorkerStats,
    pub(crate) ports: &'c PortCounters,
    pub(crate) dns: &'c DnsCounters,
    pub(crate) cut_through: &'c CutThroughCounters,
    pub(crate) refusals: &'c Refusals,
}

/// All limits, with their hits.
pub(crate) fn list(counted: &Counted<'_>) -> Vec<Limit> {
    let hits = |row: &Row| match row.hits {
        Hits::Never => None,
        Hits::Worker(count) => Some(count(counted.workers)),
        Hits::Dns(count) => Some(count(counted.dns)),
        Hits::CutThrough(count) => Some(count(counted.cut_through)),
        Hits::Proxy(counter) => Some(counter.get()),
        Hits::Drops(reason) => Some(counted.ports.drops[reason as usize]),
        Hits::Refusals => Some(counted.refusals.of(row.name)),
    };
    let limit = |row: Row| Limit {
        name: row.name.to_owned(),
        component: row.component,
        value: row.value.0,
        unit: row.value.1.to_owned(),
        on_exceed: row.on_exceed.to_owned(),
        hits: hits(&row),
    };
    rows().into_iter().map(limit).collect()
}

/// All limits in one line, for the log.
pub(crate) fn summary() -> String {
    let pairs = rows().into_iter().map(|Row { name, value: (value, unit), .. }| match unit {
        "s" | "ms" => format!("{name}={value}{unit}"),
        _ => format!("{name}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_words_for_people() {
        let names: BTreeSet<_> = rows().iter().map(|row| row.name).collect();
        assert_eq!(names.len(), rows().len());
        let is_kebab = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(names.iter().all(|name| is_kebab(name)), "{names:?}");
        assert!(rows().iter().all(|row| row.value.0 > 0 && !row.value.1.is_empty()));
    }

    /// Each row whose hits are refusals is counted somewhere.
    #[test]
    fn refusals_are_counted_under_their_names() {
        let sources = [
            include_str!("control.rs"),
            include_str!("control/snat_blocks.rs"),
            include_str!("docker.rs"),
            include_str!("server.rs"),
            include_str!("server/events.rs"),
            include_str!("server/routes.rs"),
            include_str!("server/metrics.rs"),
        ];
        let listed: BTreeSet<_> = rows()
            .iter()
            .filter(|row| matches!(row.hits, Hits::Refusals))
            .map(|row| format!("\"{}\"", row.name))
            .collect();
        for name in &listed {
            assert!(sources.iter().any(|source| source.contains(name.as_str())), "{name}");
        }
    }

    #[test]
    fn hits_come_from_their_counters() {
        let refusals = Refusals::default();
        refusals.count("ports");
        let workers = WorkerStats { mac_limit: 7, ..WorkerStats::default() };
        let mut ports = PortCounters::default();
        ports.drops[DropReason::StormUnknown as usize] = 3;
        let dns = DnsCounters { queries_limited: 2, ..DnsCounters::default() };
        let cut_through = CutThroughCounters { full: 5, ..CutThroughCounters::default() };
        let rows = list(&Counted {
            workers: &workers,
            ports: &ports,
            dns: &dns,
            cut_through: &cut_through,
            refusals: &refusals,
        });
        let hits = |name: &str| rows.iter().find(|row| row.name == name).unwrap().hits;
        assert_eq!(hits("ports"), Some(1));
        assert_eq!(hits("port-macs"), Some(7));
        assert_eq!(hits("storm-unknown"), Some(3));
        assert_eq!(hits("static-entries"), Some(0));
        assert_eq!(hits("dns-queries"), Some(2));
        assert_eq!(hits("cut-through-connections"), Some(5));
        assert_eq!(hits("tcp-idle"), None);
        let summary = summary();
        assert!(summary.contains("ports=8192 ") && summary.contains("detach-wait=5s"), "{summary}");
    }
}
