//! Gives DHCP requests and router solicitations of containers to control, which answers them.
//!
//! In a network that serves DHCP (RFC 2131, RFC 8415) or sends router advertisements (RFC 4861) such a frame
//! is consumed: it is flooded to nobody, and its bytes go to control ([`DhcpRequests`]). A container behind
//! one port thus never hears another one's request. The sender's MAC address is learnt as usual.
//!
//! Taken are whole, untagged frames from container ports: DHCPv4 to a group or to the gateway's MAC address
//! (a renewal), DHCPv6 and router solicitations to a group. VLANs of a trunk beside its native one are the
//! endpoint's own. Servers behind container ports or on other nodes would contradict the switch: what they send is
//! dropped, with or without a source guard.
//!
//! Limits: [`DHCP_REQUESTS_PER_PORT`] a second from one port, [`DHCP_ROUND_REQUESTS`] and
//! [`DHCP_ROUND_BYTES`] in one round. What exceeds them is dropped as `dhcp-limit`. In a switch without such a
//! network the stage costs one comparison a round.

use fastpath::{Nanos, Pool, PortIndex};
use vswitch_counters::DhcpCounters;
use wire::icmpv6::Type;
use wire::meta::{L3, L4};
use wire::ports::Ports;

use super::batch::FrameCtx;
use super::limits::{DHCP_REQUESTS_PER_PORT, DHCP_ROUND_BYTES, DHCP_ROUND_REQUESTS};
use super::{Batch, DropReason, NetworkConf, PortKind, Snapshot, Verdict};

/// UDP ports of servers: DHCPv4 and DHCPv6.
const SERVER: u16 = 67;
const SERVER_V6: u16 = 547;

/// Requests of one round for control, and the rates of ports.
#[derive(Debug, Default)]
pub struct DhcpRequests {
    /// Frames, one after the other.
    bytes: Vec<u8>,
    /// Ingress port, and the end of the frame in `bytes`.
    ends: Vec<(PortIndex, usize)>,
    /// Requests of each port in its last second.
    rates: Vec<(u32, u32)>,
    /// Counters.
    pub counters: DhcpCounters,
}

impl DhcpRequests {
    /// Allocates what later rounds use, once a snapshot has such a network.
    pub(super) fn apply_snapshot(&mut self, snapshot: &Snapshot) {
        if snapshot.has_host_config() && self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(DHCP_ROUND_BYTES);
            self.ends.reserve_exact(DHCP_ROUND_REQUESTS);
        }
        let slots = snapshot.slots();
        if snapshot.has_host_config() && self.rates.len() < slots {
            self.rates.resize(slots, (0, 0));
        }
    }

    /// Takes a frame's bytes; false above a limit.
    fn push(&mut self, now_s: u32, port: PortIndex, frame: &[u8]) -> bool {
        let Some((second, count)) = self.rates.get_mut(port.get()) else { return false };
        if *second != now_s {
            (*second, *count) = (now_s, 0);
        }
        *count += 1;
        let has_room = self.ends.len() < DHCP_ROUND_REQUESTS
            && self.bytes.len() + frame.len() <= DHCP_ROUND_BYTES;
        if *count > DHCP_REQUESTS_PER_PORT || !has_room {
            return false;
        }
        self.bytes.extend_from_slice(frame);
        self.ends.push((port, self.bytes.len()));
        true
    }

    /// Gives each request of the round to `take`, with its ingress port, and forgets them.
    pub fn drain(&mut self, mut take: impl FnMut(PortIndex, &[u8], &mut DhcpCounters)) {
        let mut start = 0;
        for &(port, end) in &self.ends {
            take(port, &self.bytes[start..end], &mut self.counters);
            start = end;
        }
        self.ends.clear();
        self.bytes.clear();
    }
}

/// A message about the configuration of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    /// From a host that configures itself.
    Request,
    /// From a DHCP server or relay.
    Server,
    /// From a router.
    Router,
}

/// Consumes the requests of a batch, and drops what servers send.
pub(super) fn run(
    now: Nanos,
    batch: &mut Batch,
    pool: &Pool,
    snapshot: &Snapshot,
    requests: &mut DhcpRequests,
) {
    if !snapshot.has_host_config() {
        return;
    }
    for run in batch.frames.chunk_by_mut(FrameCtx::same_ingress) {
        let network = snapshot.network(run[0].network).map(|network| &network.conf);
        let Some(network) = network.filter(|network| network.host_config.is_any()) else {
            continue;
        };
        let kind = snapshot.port(run[0].port).map(|port| port.kind);
        if !matches!(kind, Some(PortKind::Container | PortKind::Tunnel)) {
            continue;
        }
        for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
            let frame = pool.ethernet(&ctx.frame);
            match message(ctx, frame, network) {
                None => {}
                // Each node answers its own.
                Some(Message::Request) if ctx.is_from_tunnel() => {}
                Some(Message::Server) => ctx.verdict = Verdict::Drop(DropReason::RogueDhcp),
                Some(Message::Router) => ctx.verdict = Verdict::Drop(DropReason::RogueRouter),
                Some(Message::Request) => {
                    let is_taken = requests.push(now.seconds(), ctx.port, frame);
                    ctx.verdict = match is_taken {
                        true => Verdict::Consumed,
                        false => Verdict::Drop(DropReason::DhcpLimit),
                    };
                }
            }
        }
    }
}

#[inline]
fn message(ctx: &FrameCtx, frame: &[u8], network: &NetworkConf) -> Option<Message> {
    match (ctx.meta.l3, ctx.meta.l4) {
        (L3::Ipv4 | L3::Ipv6, L4::Udp) if network.host_config.dhcp => of_udp(ctx, frame, network),
        (L3::Ipv6, L4::Icmpv6) if network.host_config.ra => of_icmpv6(ctx, frame),
        _ => None,
    }
    .filter(|_| is_untagged(ctx) && !ctx.meta.fragment)
}

/// Whether a frame came without a VLAN; a priority tag names none (IEEE 802.1Q, table 9-2).
fn is_untagged(ctx: &FrameCtx) -> bool {
    ctx.meta.inner.is_none() && ctx.meta.outer.is_none_or(|tci| tci.vid() == 0)
}

#[inline]
fn of_udp(ctx: &FrameCtx, frame: &[u8], network: &NetworkConf) -> Option<Message> {
    let ports = Ports::new_checked(ctx.meta.l4_bytes(frame)).ok()?;
    let is_v4 = ctx.meta.l3 == L3::Ipv4;
    let server = if is_v4 { SERVER } else { SERVER_V6 };
    if ports.src() == server {
        return Some(Message::Server);
    }
    // A renewal is a unicast in DHCPv4 (RFC 2131 section 4.4.5).
    let is_for_server = ctx.dst.is_multicast() || is_v4 && ctx.meta.dst == network.mac;
    (ports.dst() == server && is_for_server).then_some(Message::Request)
}

#[inline]
fn of_icmpv6(ctx: &FrameCtx, frame: &[u8]) -> Option<Message> {
    match Type(*ctx.meta.l4_bytes(frame).first()?) {
        Type::ROUTER_SOLICIT if ctx.dst.is_multicast() => Some(Message::Request),
        Type::ROUTER_ADVERT => Some(Message::Router),
        _ => None,
    }
}
