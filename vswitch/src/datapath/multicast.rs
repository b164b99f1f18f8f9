//! IGMP and MLD snooping: multicast goes to listeners only (RFC 4541).
//!
//! # Theory of operation
//!
//! IGMP and MLD reports that come in say which ports listen to which group, queries which ports have a
//! router behind them. Both are remembered per network and VLAN, by the group's MAC address
//! ([`Groups`]), and hold for
//! [`MEMBERSHIP_S`](super::limits::MEMBERSHIP_S) seconds.
//!
//! ```text
//!            report                        leave
//!   absent ---------> listens (260 s) --------------> doubtful (2 s, port is asked twice)
//!     ^                  |      ^                          |          |
//!     |    no report     |      |          report          |          | no report
//!     +------------------+      +--------------------------+          |
//!     +---------------------------------------------------------------+
//! ```
//!
//! A leave does not end a row at once: on the same port another station, or the same one for another
//! group of the same MAC address, may listen. The port alone is asked, whether or not there is a router
//! that asks, too, and who still listens answers within [`LAST_MEMBER_S`] (RFC 3376 section 6.4.2, with
//! a general query, since 32 groups share an address). To a port with a router goes all in any case.
//!
//! Frames for a group go to its listeners and to the routers; reports go to the routers alone, so that
//! no listener keeps silent since another has spoken. What must reach everybody is flooded as before:
//! groups of the link itself, 224.0.0.0/24 and ff02::/16, queries, multicast that is not IP, and what
//! has two VLAN tags, since the groups of the inner domain are not the switch's to know.
//!
//! Listeners speak up when asked. Where no router asks, the switch does, on every VLAN that some port
//! carries without a tag, each [`QUERY_INTERVAL_S`] seconds: [`tick`]. Before answers can have come, all is
//! flooded; so it is on a VLAN that is new, or to which a trunk has come. A VLAN that trunks carry with
//! tags only, of which there may be thousands, is not asked, and its groups are flooded.
//!
//! An access port that comes is asked at once, alone, and gets all groups until it had time to answer: hosts
//! behind it, such as virtual machines in a container, may have joined long before. (What a container's own kernel
//! had joined ended with its former interface, as with any NIC that is taken out.)
//!
//! The tunnel port of an overlay stands for all other nodes (`datapath/overlay.rs`). Reports of this node go to them,
//! and theirs say that somebody elsewhere listens.
//!
//! Limits: [`GROUP_ROWS_MAX`](super::limits::GROUP_ROWS_MAX) rows, and [`GROUPS_PER_PORT_MAX`] of one port
//! and of one report, [`TUNNEL_GROUPS_MAX`](super::limits::TUNNEL_GROUPS_MAX) of the tunnel port. Who wants more than its share gets no more; where the table is full, a row goes of
//! the port that has most. Beyond [`LEAVES_MAX`](super::limits::LEAVES_MAX) leaves at a time rows age.

use std::net::Ipv4Addr;

use fastpath::{Nanos, Pool};
use wire::membership::{self, Message, QUERY_RESPONSE_S, Record};
use wire::meta::{L3, L4};

use super::batch::FrameCtx;
use super::limits::{GROUPS_PER_PORT_MAX, LAST_MEMBER_S, QUERY_INTERVAL_S};
use super::snapshot::Network;
use super::tx::Original;
use super::{Batch, Egress, FrameIo, Key, Learnt, Observer, Snapshot, State, Tagging, Verdict};
pub use groups::Groups;
use groups::{ROUTERS, TAKERS, holds_until, is_ipv6};

mod groups;
#[cfg(test)]
mod tests;

/// IP protocol number of IGMP.
const IGMP: L4 = L4::Other(2);

/// Snoops reports and queries, and decides multicast frames.
pub(super) fn run(
    now: Nanos,
    batch: &mut Batch,
    pool: &Pool,
    snapshot: &Snapshot,
    state: &mut State,
) {
    if !batch.has_groups {
        return;
    }
    let now_s = now.seconds();
    for run in batch.frames.chunk_by_mut(FrameCtx::same_ingress) {
        let network = snapshot.network(run[0].network);
        if !network.is_some_and(|network| network.conf.snooping) {
            continue;
        }
        for ctx in run {
            if ctx.dst.is_multicast() && ctx.verdict == Verdict::Pending {
                let frame = pool.ethernet(&ctx.frame);
                ctx.verdict = decide(ctx, frame, state, now_s);
            }
        }
    }
}

/// Kept out of the loop, since multicast is rare.
#[inline(never)]
fn decide(ctx: &FrameCtx, frame: &[u8], state: &mut State, now_s: u32) -> Verdict {
    if ctx.meta.inner.is_some() {
        return Verdict::Flood;
    }
    let message = match (ctx.meta.l3, ctx.meta.l4) {
        _ if ctx.meta.fragment => None,
        (L3::Ipv4, IGMP) => Message::igmp(ctx.meta.l4_bytes(frame)).ok(),
        (L3::Ipv6, L4::Icmpv6) => Message::mld(ctx.meta.l4_bytes(frame)).ok(),
        _ => None,
    };
    match message {
        Some(Message::Query) => {
            for group in [ROUTERS, TAKERS] {
                note(ctx, Record { group, listens: true }, state, now_s);
            }
            Verdict::Flood
        }
        Some(Message::Report(mut records)) => {
            for record in records.by_ref().take(GROUPS_PER_PORT_MAX) {
                // 239.128.0.1 has the same MAC address: nobody becomes a router by listening to it.
                if record.group != ROUTERS {
                    note(ctx, record, state, now_s);
                }
            }
            state.groups.counters.mdb_full += u64::from(records.next().is_some());
            Verdict::Routers
        }
        None if !state.groups.knows(ctx.dst, now_s) || is_link_scoped(ctx, frame) => Verdict::Flood,
        None => Verdict::Group,
    }
}

/// Records a report, and tells the other workers until when it holds.
fn note(ctx: &FrameCtx, said: Record, state: &mut State, now_s: u32) {
    let key = Key::new(ctx.dst.network(), ctx.dst.vlan(), said.group);
    let update = match said.listens {
        true => state.groups.join(key, ctx.port, now_s).then(|| holds_until(now_s)),
        // Others on that node may listen; it asks them itself.
        false if ctx.is_from_tunnel() => None,
        false => state.groups.leave(key, ctx.port, now_s),
    };
    if let Some(until_s) = update {
        state.queue_fdb_sync(Learnt { key, destination: ctx.port.into() }, until_s);
    }
}

/// Whether a frame must reach every host on the link (RFC 4541 sections 2.1.2 and 3).
fn is_link_scoped(ctx: &FrameCtx, frame: &[u8]) -> bool {
    let packet = ctx.meta.l3_bytes(frame);
    match ctx.meta.l3 {
        L3::Ipv4 => {
            let dst = packet.get(16..20).and_then(|dst| <[u8; 4]>::try_from(dst).ok());
            dst.map(Ipv4Addr::from)
                .is_none_or(|dst| !dst.is_multicast() || dst.octets()[..3] == [224, 0, 0])
        }
        L3::Ipv6 => packet.get(24..26).is_none_or(|dst| dst[0] != 0xff || dst[1] & 0xf <= 2),
        _ => true,
    }
}

/// Ages rows and sends queries that are due: to ports after a leave, and, where `is_querier`, to VLANs
/// without a multicast router. One worker of all queries VLANs; the worker that saw the leave queries
/// the port.
pub(super) fn tick(
    now: Nanos,
    is_querier: bool,
    snapshot: &Snapshot,
    state: &mut State,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let (now_s, groups) = (now.seconds(), &mut state.groups);
    groups.age(now_s);
    if !groups.newcomers.is_empty() {
        groups.admit_newcomers(is_querier, now_s);
    }
    if !groups.leaves.is_empty() {
        query_ports(now_s, snapshot, groups, io, egress);
    }
    if now_s < groups.next_s {
        return;
    }
    for at in 0..groups.domains.len() {
        let domain = groups.domains[at];
        if now_s < domain.next_s {
            continue;
        }
        groups.domains[at].queried(now_s);
        let has_router = !groups.routers(Key::new(domain.network, domain.vlan, ROUTERS)).is_empty();
        let network = snapshot.network(domain.network).filter(|_| is_querier && !has_router);
        if let Some(network) = network {
            query_vlan(network, domain.vlan, snapshot, io, egress);
        }
    }
    groups.schedule();
}

/// Sends general queries to a VLAN.
fn query_vlan(
    network: &Network,
    vlan: u16,
    snapshot: &Snapshot,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let (mac, interval_s) = (network.conf.mac, QUERY_INTERVAL_S as u8);
    let igmp = membership::igmp_query(mac, QUERY_RESPONSE_S, interval_s);
    let mld = membership::mld_query(mac, QUERY_RESPONSE_S, interval_s);
    for wanted in [Tagging::Untagged, Tagging::Tagged] {
        for frame in [&igmp[..], &mld] {
            let targets = network.members.targets(snapshot, vlan, wanted);
            super::tx::originate(Original { frame, vlan, wanted }, targets, io, egress);
        }
    }
}

/// Sends queries to single ports after a leave.
#[inline(never)]
fn query_ports(
    now_s: u32,
    snapshot: &Snapshot,
    groups: &mut Groups,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let (response_s, interval_s) = (LAST_MEMBER_S as u8, QUERY_INTERVAL_S as u8);
    for leave in groups.leaves.iter_mut().filter(|leave| leave.due_s <= now_s) {
        (leave.due_s, leave.left) = (now_s + LAST_MEMBER_S, leave.left - 1);
        let (key, port) = (leave.key, leave.port);
        let network = snapshot.network(key.network()).filter(|_| snapshot.reaches(port, key));
        let tagging = snapshot.egress(port, key.vlan(), false);
        let Some((network, tagging)) = network.zip(tagging) else { continue };
        let mac = network.conf.mac;
        let (igmp, mld);
        let frame = if is_ipv6(key) {
            mld = membership::mld_query(mac, response_s, interval_s);
            &mld[..]
        } else {
            igmp = membership::igmp_query(mac, response_s, interval_s);
            &igmp[..]
        };
        let target = std::iter::once(port);
        let original = Original { frame, vlan: key.vlan(), wanted: tagging };
        super::tx::originate(original, target, io, egress);
    }
    groups.leaves.retain(|leave| leave.left > 0);
}
