//! Sees handshakes of TCP connections pass between two containers, and allows their sockets to be joined.
//!
//! A SYN-ACK names both ends: before the router as the server sees the connection, after it as the client does. Both
//! tuples go into a table ([`Allowed`]) that programs in the kernel read when the two sockets are established
//! (`vswitch/cutthrough`). From then on the connection's bytes need not come by here.
//!
//! A frame gets so far only if the source guard, port isolation, policy and NAT let it pass, so a connection that the
//! switch would not carry is never cut through. Both ports must allow it ([`PortConf::cut_through`]); those with a rate
//! limit do not, since their bytes have to be seen.
//!
//! In a switch without cut-through the stage costs one comparison a round, else two for each short TCP frame.
//!
//! [`PortConf::cut_through`]: super::PortConf::cut_through

use std::net::{IpAddr, SocketAddr};

use fastpath::Pool;
use vswitch_cutthrough::{Handshake, NetnsCookie, Tuple};
use wire::meta::{L3, L4, Meta};
use wire::tcp::Flags;
use wire::{ipv4, ipv6, tcp};

use super::batch::FrameCtx;
use super::limits::HANDSHAKES_PER_ROUND;
use super::{Batch, Snapshot, Verdict};

/// Bytes of the longest IP packet that can be a SYN-ACK: headers with all options, and no data.
const SYN_ACK_MAX: u32 = 40 + 2 * tcp::HEADER_LEN_MAX as u32;

/// SYN-ACKs of a round before they are translated.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Vec<Seen>);

#[derive(Debug)]
struct Seen {
    /// The buffer of its frame, which stays the same through the router.
    buffer: u32,
    server: Tuple,
    client_next: u32,
    server_next: u32,
}

/// Notes the SYN-ACKs of a batch, before the router translates them; those of other workers, too.
pub(super) fn note(batch: &Batch, pool: &Pool, snapshot: &Snapshot, seen: &mut Handshakes) {
    if snapshot.allowed().is_none() {
        return;
    }
    let short = |ctx: &&FrameCtx| ctx.meta.l4 == L4::Tcp && ctx.meta.l3_len <= SYN_ACK_MAX;
    for ctx in batch.frames.iter().filter(short) {
        if seen.0.len() == HANDSHAKES_PER_ROUND || matches!(ctx.verdict, Verdict::Drop(_)) {
            continue;
        }
        let bytes = pool.ethernet(&ctx.frame);
        let Some(segment) = syn_ack(bytes, &ctx.meta) else { continue };
        let netns = snapshot.port(ctx.port).and_then(|port| port.cut_through);
        let Some((netns, ends)) = netns.zip(Ends::of(bytes, &ctx.meta)) else { continue };
        seen.0.push(Seen {
            buffer: ctx.frame.buffer(),
            server: ends.sender(netns),
            client_next: segment.ack(),
            server_next: segment.seq().wrapping_add(1),
        });
    }
}

/// Allows the connections whose SYN-ACKs go to a container. To be called when every frame is decided.
pub(super) fn allow(batch: &Batch, pool: &Pool, snapshot: &Snapshot, seen: &mut Handshakes) {
    let Some(allowed) = snapshot.allowed().filter(|_| !seen.0.is_empty()) else { return };
    for Seen { buffer, server, client_next, server_next } in seen.0.drain(..) {
        let Some(ctx) = batch.frames.iter().find(|ctx| ctx.frame.buffer() == buffer) else {
            continue;
        };
        let Verdict::Unicast(destination) = ctx.verdict else { continue };
        let port = destination.port().and_then(|port| snapshot.port(port));
        let Some(netns) = port.and_then(|port| port.cut_through) else { continue };
        let bytes = pool.ethernet(&ctx.frame);
        // The buffer may hold another frame by now, such as an answer of the router.
        let segment = syn_ack(bytes, &ctx.meta);
        if segment
            .is_none_or(|it| it.ack() != client_next || it.seq().wrapping_add(1) != server_next)
        {
            continue;
        }
        let Some(ends) = Ends::of(bytes, &ctx.meta) else { continue };
        allowed.allow(&Handshake {
            client: ends.receiver(netns),
            server,
            client_next,
            server_next,
        });
    }
}

/// The segment, if it has the flags of a SYN-ACK and no data.
fn syn_ack<'f>(bytes: &'f [u8], meta: &Meta) -> Option<tcp::Packet<&'f [u8]>> {
    let segment =
        bytes.get(meta.l4_offset.into()..usize::from(meta.l3_offset) + meta.l3_len as usize)?;
    let segment = tcp::Packet::new_checked(segment).ok()?;
    let relevant = Flags::SYN.with(Flags::ACK).with(Flags::FIN).with(Flags::RST);
    let is_one = segment.flags().0 & relevant.0 == Flags::SYN.with(Flags::ACK).0;
    (is_one && !meta.fragment && segment.payload().is_empty()).then_some(segment)
}

/// Source and destination of a segment.
struct Ends {
    from: SocketAddr,
    to: SocketAddr,
}

impl Ends {
    fn of(bytes: &[u8], meta: &Meta) -> Option<Self> {
        let packet = bytes.get(meta.l3_offset.into()..)?;
        let segment = tcp::Packet::new_checked(bytes.get(meta.l4_offset.into()..)?).ok()?;
        let (from, to): (IpAddr, IpAddr) = match meta.l3 {
            L3::Ipv4 => {
                let packet = ipv4::Packet::new_checked(packet).ok()?;
                (packet.src().into(), packet.dst().into())
            }
            L3::Ipv6 => {
                let packet = ipv6::Packet::new_checked(packet).ok()?;
                (packet.src().into(), packet.dst().into())
            }
            L3::Other | L3::Arp | L3::Malformed => return None,
        };
        let (from, to) = ((from, segment.src_port()).into(), (to, segment.dst_port()).into());
        Some(Self { from, to })
    }

    fn sender(&self, netns: NetnsCookie) -> Tuple {
        Tuple { netns, local: self.from, remote: self.to }
    }

    fn receiver(&self, netns: NetnsCookie) -> Tuple {
        Tuple { netns, local: self.to, remote: self.from }
    }
}
