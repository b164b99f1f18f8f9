//! All limits of the switch in one list, with what happens beyond each and how often that was.
//!
//! The numbers stand where they are used: one file a crate or stage. This is the list of them that
//! `vswitch status --limits` shows and the daemon logs when it starts; a test sees to it that none is
//! missing. A limit that can be hit says who counts it: a worker ([`Count`]), or whoever refuses
//! ([`Refusals`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vswitch_api::limits::Limit;

use crate::datapath::DropReason;

/// Commands that one worker may have waiting.
pub(crate) const COMMANDS_MAX: usize = 1024;

/// Events that may wait for control: each port on each worker, each worker itself, each port once
/// for a loop, and questions for next hops.
pub(crate) const EVENTS_MAX: usize = (PORTS_MAX + 1) * WORKERS_MAX + PORTS_MAX + RESOLVES_MAX;

/// Time between two steps of the sweep of the forwarding database.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How long an ending worker waits for what is in flight.
pub(crate) const WORKER_DRAIN_MAX: Duration = Duration::from_secs(2);

/// Frames of up to [`HANDOFF_SMALL_BYTES`] that one worker may have on the way to another, which translates
/// them.
pub(crate) const HANDOFF_SMALL_MAX: usize = 256;

/// The same of longer ones. Beyond either they are dropped as `handoff-full`.
pub(crate) const HANDOFF_LARGE_MAX: usize = 64;

/// Up to this length, with the offload header, frames are small: most that are no GSO frames.
pub(crate) const HANDOFF_SMALL_BYTES: usize = 2048;

/// How often a worker looks which ports it should hold back, and for how long it sleeps when only those
/// have frames.
pub(crate) const THROTTLE_PERIOD: Duration = Duration::from_millis(1);

/// Frames a period that a port may have read most of whose frames are dropped.
pub(crate) const THROTTLE_FRAMES: u64 = 32;

/// How long a port is held back after it last gave reason to.
pub(crate) const THROTTLE_TIME: Duration = Duration::from_millis(16);

/// Small frames a period, without answers, beyond which a port floods.
pub(crate) const FLOOD_FRAMES: u64 = 64;

/// Below this length on average frames are small.
pub(crate) const FLOOD_BYTES_PER_FRAME: u64 = 512;

use crate::control::limits::*;
use crate::datapath::limits::*;
use crate::host::limits::*;
use crate::server::limits::*;
use fastpath::limits::*;
use nat::limits::*;
use wire::limits::*;

/// What workers count, of what their limits kept back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    RoundsFull,
    DeficitSkips,
    WritesCut,
    Flushes,
    PoolExhausted,
    Evictions,
    NetworkFull,
    PortFull,
    FdbSyncDrops,
    GroupsFull,
    Blocks,
    LoopEventsDropped,
    ResolvesDropped,
    IcmpSuppressed,
    Throttled,
}

impl Count {
    /// How many kinds there are.
    pub(crate) const KINDS: usize = 15;
}

/// Who counts how often a limit was hit.
#[derive(Debug, Clone, Copy)]
enum Hits {
    /// Nobody: it bounds a pace or a size, and nothing is kept back.
    Never,
    Worker(Count),
    Drops(DropReason),
    Refusals,
}

/// A limit's value as a number.
trait Value {
    const UNIT: Option<&'static str> = None;
    fn value(self) -> u64;
}

macro_rules! values {
    ($($type:ty),*) => {$(impl Value for $type {
        fn value(self) -> u64 {
            self as u64
        }
    })*};
}

values!(usize, u64, u32, u16);

impl Value for Duration {
    const UNIT: Option<&'static str> = Some("ms");
    fn value(self) -> u64 {
        self.as_millis() as u64
    }
}

impl Value for vswitch_api::port_settings::limits::FrameRate {
    fn value(self) -> u64 {
        self.get()
    }
}

struct Row {
    component: &'static str,
    name: &'static str,
    value: u64,
    unit: &'static str,
    on_exceed: &'static str,
    hits: Hits,
}

fn unit<V: Value>(_: &V, unit: &'static str) -> &'static str {
    V::UNIT.unwrap_or(unit)
}

macro_rules! rows {
    ($($component:literal { $($name:ident, $unit:literal, $on_exceed:literal, $hits:expr;)* })*) => {
        vec![$($(Row {
            component: $component,
            name: stringify!($name),
            value: $name.value(),
            unit: unit(&$name, $unit),
            on_exceed: $on_exceed,
            hits: $hits,
        },)*)*]
    };
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Row> {
    use Hits::{Drops, Never, Refusals, Worker};
    rows! {
        "wire" {
            IPV6_EXTENSIONS_MAX, "headers", "the packet counts as malformed, and is forwarded by its addresses", Never;
            ICMPV4_ERROR_PACKET_MAX, "bytes", "an ICMP error quotes less of the packet", Never;
            ICMPV6_ERROR_PACKET_MAX, "bytes", "an ICMPv6 error quotes less of the packet", Never;
            EXCERPT_MAX, "bytes", "an error message quotes less", Never;
        }
        "fastpath" {
            PORTS_MAX, "ports", "an attach is refused", Refusals;
            WORKERS_MAX, "workers", "`vswitch up` is refused", Never;
            HEADROOM, "bytes", "headers do not grow further", Never;
            VNET_LEN, "bytes", "fixed by the kernel", Never;
            FRAME_MAX, "bytes", "no TAP gives a longer frame", Never;
            BUFFER_STRIDE, "bytes", "a frame fits by its length", Never;
            READ_DEPTH_MAX, "frames", "the rest of a port's frames wait for the next round", Never;
            ROUND_FRAMES_MAX, "frames", "the rest waits for the next round, in turns", Worker(Count::RoundsFull);
            ROUND_BYTES_PER_PORT, "bytes", "a port reads fewer frames a round", Never;
            ROUND_BYTES_MAX, "bytes", "who read more than its part sits out a round", Worker(Count::DeficitSkips);
            WRITES_PER_PORT_MAX, "frames", "frames for the port are dropped as tx-queue-full", Worker(Count::WritesCut);
            SQ_ENTRIES, "operations", "the submission queue is flushed", Worker(Count::Flushes);
            CQ_ENTRIES, "completions", "the kernel keeps the rest for the next round", Never;
            OPS_MAX, "operations", "frames to be written are dropped as tx-queue-full", Never;
            POOL_FRAMES, "buffers", "reads wait for the next round", Worker(Count::PoolExhausted);
            QUEUED_FRAMES_MAX, "frames", "it is the sum of what stages may hold", Never;
            HOLDERS_MAX, "holders", "there are as many as ports", Never;
            SPIN_ROUNDS, "rounds", "the worker sleeps", Never;
        }
        "nat" {
            FLOWS_MAX, "connections", "no table is made larger", Never;
            MAPPINGS_MAX, "endpoints", "dropped as nat-no-port", Drops(DropReason::NatNoPort);
            OWNERS_MAX, "containers", "there are fewer ports", Never;
            EXTERNAL_ADDRS_MAX, "addresses", "a packet is dropped as nat-no-address", Drops(DropReason::NatNoAddress);
            PINHOLES_MAX, "endpoints", "another takes the place until the next packet", Never;
            FAIR_SHARE_FACTOR, "times", "a container gives up one of its connections", Never;
            ENDED_VICTIMS_MAX, "connections", "those without an answer are looked at", Never;
            PORT_VICTIMS_MAX, "connections", "dropped as nat-no-port", Drops(DropReason::NatNoPort);
            TICK_OPERATIONS, "connections", "the rest expires in the next rounds", Never;
            PAGE_OPERATIONS, "operations", "memory is touched when it is needed", Never;
            REVOKE_OPERATIONS, "connections", "the rest is taken out in the next rounds", Never;
            TCP_ESTABLISHED_IDLE, "", "the connection ends", Never;
            TCP_TRANSITORY_IDLE, "", "the connection ends", Never;
            UDP_IDLE, "", "the connection ends", Never;
            ECHO_IDLE, "", "the connection ends", Never;
            SCTP_IDLE, "", "the connection ends", Never;
            PORT_REUSE_DELAY, "", "the port may be used again", Never;
            LATE_BYTES_MIN, "bytes", "dropped as nat-out-of-window", Drops(DropReason::NatOutOfWindow);
            SYN_DATA_MAX, "bytes", "dropped as nat-out-of-window", Drops(DropReason::NatOutOfWindow);
            FRAGMENT_TIMEOUT, "", "dropped as fragment-timeout", Drops(DropReason::FragmentTimeout);
            FRAGMENT_PACKETS_MAX, "packets", "one of the container that has most goes", Never;
            FRAGMENT_PACKETS_OWNER_MAX, "packets", "the container's oldest goes", Never;
            FRAGMENT_FRAMES_MAX, "frames", "dropped as fragment-table-full", Drops(DropReason::FragmentTableFull);
            FRAGMENT_FRAMES_OWNER_MAX, "frames", "dropped as fragment-table-full", Drops(DropReason::FragmentTableFull);
            FRAGMENT_RANGES_MAX, "stretches", "dropped as fragment-table-full", Drops(DropReason::FragmentTableFull);
            FRAGMENT_EXPIRE_PER_CALL_MAX, "packets", "the rest is let go later", Never;
            IPV4_MTU_MIN, "bytes", "no smaller MTU is told", Never;
            IPV6_MTU_MIN, "bytes", "no smaller MTU is told", Never;
            MSS_FLOOR, "bytes", "no SYN is clamped further", Never;
            ICMP_ERROR_FRAME_MAX, "bytes", "an ICMP error quotes less of the packet", Never;
        }
        "datapath" {
            FDB_SLOTS, "addresses", "an entry of the port that holds most goes", Worker(Count::Evictions);
            FDB_ENTRIES_PER_NETWORK, "addresses", "takes such an entry's place or is not learnt", Worker(Count::NetworkFull);
            MACS_PER_PORT, "addresses", "not learnt; frames pass", Worker(Count::PortFull);
            AGEING_S, "s", "an address that was not seen is forgotten", Never;
            NETWORKS_MAX, "networks", "there is one", Never;
            SWEEP_BUCKETS, "buckets", "the sweep goes on later", Never;
            FDB_SYNC_ROWS, "addresses", "another worker floods until it learns itself", Worker(Count::FdbSyncDrops);
            GROUP_ROWS_MAX, "listeners", "a row of the port that has most goes", Worker(Count::GroupsFull);
            GROUPS_PER_PORT_MAX, "groups", "the listener is not noted", Worker(Count::GroupsFull);
            QUERY_INTERVAL_S, "s", "the switch asks again who listens", Never;
            MEMBERSHIP_S, "s", "a listener that was not heard is forgotten", Never;
            LAST_MEMBER_S, "s", "who has not answered no longer listens", Never;
            LAST_MEMBER_QUERIES, "questions", "who has not answered no longer listens", Never;
            LEAVES_MAX, "ports", "who has left is not asked; the listener ages", Worker(Count::GroupsFull);
            BURST_TIME, "", "a port's rate applies", Never;
            BURST_BYTES_MIN, "bytes", "a port's rate applies", Never;
            BURST_FRAMES_MIN, "frames", "storm control applies", Never;
            STORM_BROADCAST, "frames/s", "dropped as storm-broadcast", Drops(DropReason::StormBroadcast);
            STORM_MULTICAST, "frames/s", "dropped as storm-multicast", Drops(DropReason::StormMulticast);
            STORM_UNKNOWN, "frames/s", "dropped as storm-unknown", Drops(DropReason::StormUnknown);
            PROBE_EVERY, "", "no further probe for loops", Never;
            FLAP_MOVES_MAX, "moves", "the port is blocked", Worker(Count::Blocks);
            FLAP_WINDOW, "", "moves are counted anew", Never;
            FLAPS, "addresses", "another address is no longer followed", Never;
            BLOCK_MIN, "", "the port opens again", Never;
            BLOCK_MAX, "", "a pause does not double further", Never;
            LOOP_HISTORY, "", "former loops of a port are forgotten", Never;
            LOOP_EVENTS_MAX, "events", "the port is blocked without a line in the log", Worker(Count::LoopEventsDropped);
            NAT_CONNECTIONS, "connections", "one of the same container goes, or dropped as nat-table-full", Drops(DropReason::NatTableFull);
            NAT_OPERATIONS_IDLE, "connections", "the rest expires in the next rounds", Never;
            PREFETCH_FRAMES, "frames", "the next ones are asked for next", Never;
            PREFETCH_CONNECTIONS_MIN, "connections", "they are asked for ahead of time", Never;
            CONNTRACK_FLUSHED_MAX, "connections", "the rest ends in the next rounds", Never;
            CONNTRACK_ROWS_MAX, "connections", "`conntrack ls` shows so many", Never;
            NEIGHBOUR_QUEUE_MAX, "frames", "dropped as neighbour-queue-full", Drops(DropReason::NeighbourQueueFull);
            NEIGHBOUR_QUEUE_PER_PORT_MAX, "frames", "dropped as neighbour-queue-full", Drops(DropReason::NeighbourQueueFull);
            NEIGHBOUR_QUEUE_TIMEOUT, "", "dropped as no-neighbour", Drops(DropReason::NoNeighbour);
            NEIGHBOUR_QUEUE_WAKE, "", "an idle worker looks who has waited too long", Never;
            EXPIRY_WAKE, "", "an idle worker lets more connections expire", Never;
            EXPIRY_REST, "", "an idle worker looks whether connections expire", Never;
            RESOLVE_EVERY, "", "the next hop is asked for again", Never;
            RESOLVES_PER_PORT_MAX, "next hops", "further ones of the port are asked for when their next frame comes", Never;
            RESOLVES_MAX, "next hops", "asked for when the next frame comes", Worker(Count::ResolvesDropped);
            FRAGMENT_OPERATIONS, "packets", "the rest is let go in the next rounds", Never;
            ICMP_ERROR_RATE, "messages/s", "the sender is not told", Worker(Count::IcmpSuppressed);
        }
        "dataplane" {
            COMMANDS_MAX, "commands", "a request fails", Refusals;
            EVENTS_MAX, "events", "there are no more", Never;
            THROTTLE_PERIOD, "", "ports are judged anew", Never;
            THROTTLE_FRAMES, "frames", "a port most of whose frames are dropped is held back", Worker(Count::Throttled);
            THROTTLE_TIME, "", "a port that behaves is let go", Never;
            FLOOD_FRAMES, "frames", "a port that sends small frames without answers is held back, if others talk", Never;
            FLOOD_BYTES_PER_FRAME, "bytes", "frames are not small", Never;
            HANDOFF_SMALL_MAX, "frames", "dropped as handoff-full", Drops(DropReason::HandoffFull);
            HANDOFF_LARGE_MAX, "frames", "dropped as handoff-full", Drops(DropReason::HandoffFull);
            HANDOFF_SMALL_BYTES, "bytes", "the frame counts as a large one", Never;
            SWEEP_EVERY, "", "the next step of the sweep", Never;
            WORKER_DRAIN_MAX, "", "the worker ends with frames in flight", Never;
        }
        "control" {
            STATICS_MAX, "addresses", "a static entry is refused", Refusals;
            PUBLICATIONS_MAX, "publications", "a further one of the attachment is refused", Refusals;
            ALIASES_MAX, "names", "the attach is refused", Refusals;
            LABELS_MAX, "labels", "the attach is refused", Refusals;
            LABELS_BYTES_MAX, "bytes", "the attach is refused", Never;
            ALLOW_FROM_MAX, "prefixes", "the publication is refused", Refusals;
            CONNECTIONS_PER_CONTAINER, "connections", "a further one of the container is refused", Drops(DropReason::NatQuota);
            PORT_ALLOC_TRIES_MAX, "places", "the publication is refused", Refusals;
            REPUBLISH_INTERVAL, "", "what is published and not open is tried again", Never;
            REPUBLISH_BATCH, "publications", "the others are tried later", Never;
            REPLAY_CONCURRENCY, "attachments", "the others wait", Never;
            DETACH_WAIT_MAX, "", "an attach under a name that is being detached is refused", Refusals;
            DEVICE_REMOVAL_MAX, "", "nftables tables of a bridge that is there are left alone", Never;
            SHUTDOWN_MAX, "", "the daemon ends without its workers", Never;
            PORT_CLOSE_MAX, "", "the same, for each port", Never;
        }
        "host" {
            TABLES_CHECK_INTERVAL, "", "a lost nftables table is put back", Never;
            NFT_ANSWER_MAX, "", "loading nftables rules fails", Never;
            NFT_BUFFER, "bytes", "loading that many nftables rules fails", Never;
            SHIFTED_PORTS_MAX, "ports", "the host itself does not reach a longer shifted range", Never;
            SHIFTED_PORTS_SUM_MAX, "ports", "the host itself does not reach further shifted ranges", Never;
            ROUTES_MAX, "routes", "the longest prefixes are not followed", Never;
            NEIGHBOURS_MAX, "neighbours", "further ones count as unknown", Never;
            NEIGH_REFRESH_PER_PORT_MAX, "neighbours", "the one asked for longest ago is left alone", Never;
            NEIGH_REFRESH_MAX, "neighbours", "further ones are not asked for", Never;
            NEIGH_REFRESH_INTERVAL, "", "the kernel checks a neighbour in use again", Never;
            NEIGH_REFRESH_ROUNDS_MAX, "rounds", "a neighbour that nobody asks for is left alone", Never;
            DEBOUNCE, "", "changes of the host are looked at", Never;
            RESYNC_INTERVAL, "", "the host is looked at without a notification", Never;
            RESERVED_SOCKETS_MAX, "ports", "a longer range is reserved by a kernel setting", Never;
            FREE_PORT_TRIES_MAX, "tries", "port 0 is refused", Never;
            PROXY_CONNECTIONS_MAX, "connections", "further ones to [::1] wait, datagrams of further clients are dropped", Never;
            PROXY_CLIENT_DATAGRAMS, "datagrams", "further ones of a client to [::1] are dropped", Never;
            PROXY_CLIENT_IDLE, "", "a client of [::1] is forgotten", Never;
            PROXY_CONNECT_MAX, "", "a connection to [::1] is closed", Never;
            PROXY_ERROR_PAUSE, "", "the proxy of [::1] accepts again after a pause", Never;
        }
        "server" {
            CONNECTIONS_MAX, "connections", "further ones wait", Refusals;
            BODY_MAX, "bytes", "the request is refused", Refusals;
            HEADER_READ_MAX, "", "the connection is closed", Refusals;
            BODY_READ_MAX, "", "the request is refused", Refusals;
            DRAIN_MAX, "", "requests are cut off when the daemon ends", Never;
            ACCEPT_PAUSE, "", "connections are accepted again", Never;
            PROBE_MAX, "", "whoever serves the socket counts as alive", Never;
        }
    }
}

/// Counts, by name, what was refused.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, u64>>);

impl Refusals {
    /// A limit was hit.
    pub(crate) fn count(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(0)
    }
}

/// All limits. `counts`: of all workers; `drops`: of all ports.
pub(crate) fn list(
    counts: &BTreeMap<Count, u64>,
    drops: impl Fn(DropReason) -> u64,
    refusals: &Refusals,
) -> Vec<Limit> {
    let hits = |row: &Row| match row.hits {
        Hits::Never => None,
        Hits::Worker(count) => Some(counts.get(&count).copied().unwrap_or(0)),
        Hits::Drops(reason) => Some(drops(reason)),
        Hits::Refusals => Some(refusals.of(row.name)),
    };
    rows()
        .iter()
        .map(|row| Limit {
            name: row.name.to_owned(),
            component: row.component.to_owned(),
            value: row.value,
            unit: row.unit.to_owned(),
            on_exceed: row.on_exceed.to_owned(),
            hits: hits(row),
        })
        .collect()
}

/// All limits in one line, for the log.
pub(crate) fn summary() -> String {
    let rows = rows();
    let said = rows.iter().map(|row| format!("{}={}{}", row.name, row.value, short(row.unit)));
    said.collect::<Vec<_>>().join(" ")
}

fn short(unit: &str) -> &str {
    if unit == "ms" { unit } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The constants of a file of limits.
    fn constants(text: &str) -> impl Iterator<Item = &str> {
        let words = text.lines().filter_map(|line| {
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("const ")
        });
        words.filter_map(|rest| rest.split(':').next())
    }

    #[test]
    fn no_limit_is_missing() {
        let files = [
            include_str!("../../wire/src/limits.rs"),
            include_str!("../../fastpath/src/limits.rs"),
            include_str!("../../nat/src/limits.rs"),
            include_str!("datapath/limits.rs"),
            include_str!("limits.rs"),
            include_str!("control/limits.rs"),
            include_str!("host/limits.rs"),
            include_str!("server/limits.rs"),
        ];
        let listed: Vec<_> = rows().iter().map(|row| row.name).collect();
        for file in files {
            let names: Vec<_> = constants(file).collect();
            assert!(!names.is_empty());
            for name in names.into_iter().filter(|name| *name != "UNIT") {
                assert!(listed.contains(&name), "{name} is not listed");
            }
        }
        assert!(listed.len() > 50, "{}", listed.len());
    }

    #[test]
    fn hits_come_from_whoever_counts_them() {
        let refusals = Refusals::default();
        refusals.count("PORTS_MAX");
        let counts = BTreeMap::from([(Count::PortFull, 7)]);
        let drops = |reason| u64::from(reason == DropReason::StormUnknown) * 3;
        let rows = list(&counts, drops, &refusals);
        let hits = |name: &str| rows.iter().find(|row| row.name == name).unwrap().hits;
        assert_eq!(hits("PORTS_MAX"), Some(1));
        assert_eq!(hits("MACS_PER_PORT"), Some(7));
        assert_eq!(hits("STORM_UNKNOWN"), Some(3));
        assert_eq!(hits("STATICS_MAX"), Some(0));
        assert_eq!(hits("VNET_LEN"), None);
        assert!(summary().contains("PORTS_MAX=8192 ") && summary().contains("BLOCK_MIN=10000ms"));
    }
}
