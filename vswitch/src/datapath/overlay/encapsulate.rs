//! Frames for other nodes become datagrams.
//!
//! A frame gets the VXLAN header and the datagram header in front of it, in its buffer. Its checksum is completed, since
//! the other node cannot know that it was not. A GSO frame is segmented into further buffers, whose segments leave with
//! one system call each (`UDP_SEGMENT`, udp(7)). The socket that sends it is chosen by its flow, so that routers and the
//! receiver spread flows (RFC 7348, section 5). The outer header has the inner one's ECN (RFC 6040, normal mode), and DSCP 0.

use fastpath::datagram::{self, Header};
use fastpath::limits::{FRAME_MAX, VNET_LEN};
use fastpath::{Frame, Pool};
use wire::meta::{L3, L4, Meta};
use wire::segment::Segments;
use wire::vnet::{self, Flags};
use wire::{checksum, ecn, mss_clamp, vxlan};

use super::Overlay;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::{
    TUNNEL_FRAME_SEGMENTS_MAX, TUNNEL_SEND_BYTES_MAX, TUNNEL_SEND_SEGMENTS_MAX,
};
use crate::datapath::router::{Fit, fit};
use crate::datapath::{
    DropReason, Egress, FrameIo, Groups, Observer, Snapshot, Tagging, TunnelConf, Verdict,
    VtepConf, VtepIndex, edit,
};

/// Bytes that a frame grows by: datagram header and VXLAN's instead of the virtio-net header.
const GROWTH: usize = datagram::LEN + vxlan::HEADER_LEN - VNET_LEN;

/// Datagrams in a buffer of the pool, all but their destination.
#[derive(Debug, Clone, Copy)]
struct Datagrams {
    /// Their number.
    count: u64,
    /// Bytes of their inner frames.
    bytes: usize,
    /// Bytes of each but the last; 0: there is one.
    segment: u16,
    /// The socket that sends them.
    socket: u16,
    /// ECN of their outer header.
    ecn: u8,
}

/// Sends a frame to a VTEP.
pub(in crate::datapath) fn send(
    ctx: FrameCtx,
    vtep: VtepIndex,
    snapshot: &Snapshot,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let network = snapshot.network(ctx.network);
    let overlay = network.and_then(|network| network.overlay.as_ref());
    let tunnel = snapshot.tunnel();
    let conf = tunnel.and_then(|tunnel| Some((tunnel, tunnel.vtep(vtep)?))).zip(overlay);
    let Some(((tunnel, conf), overlay)) = conf else {
        return io.drop_frame(ctx.port, ctx.frame, DropReason::TunnelUnknown);
    };
    let FrameCtx { port, frame, meta, .. } = ctx;
    let sent = wrap(io, frame, &meta, overlay.vni, |io, frame, datagrams| {
        send_to((vtep, conf), tunnel, (frame, datagrams), io, egress);
    });
    if let Err((frame, reason)) = sent {
        io.stats.vtep_mut(vtep).drops += 1;
        io.drop_frame(port, frame, reason);
    }
}

fn send_to(
    (vtep, conf): (VtepIndex, &VtepConf),
    tunnel: &TunnelConf,
    (frame, datagrams): (Frame, Datagrams),
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let Datagrams { count, bytes, segment, socket, ecn } = datagrams;
    let header = Header { peer: conf.address, segment, socket, tos: ecn };
    let is_written = io.pool.bytes_mut(&frame).is_some_and(|bytes| header.write(bytes));
    debug_assert!(is_written, "nobody else has the buffer yet");
    io.stats.vtep_mut(vtep).count_tx(count, bytes);
    egress.send(io, tunnel.port(), frame);
}

/// VTEPs that get a flood.
pub(in crate::datapath) struct Replication<'a> {
    overlay: &'a Overlay,
    tunnel: &'a TunnelConf,
    /// Only those that no registry describes: nobody else has reported a listener of the group.
    only_learning: bool,
}

impl<'a> Replication<'a> {
    /// `None` for a frame that stays on this node.
    #[inline]
    pub(in crate::datapath) fn new(
        ctx: &FrameCtx,
        snapshot: &'a Snapshot,
        groups: &Groups,
    ) -> Option<Self> {
        let tunnel = snapshot.tunnel()?;
        let network = snapshot.network(ctx.network)?;
        let overlay = network.overlay.as_ref()?;
        let stays = ctx.is_from_tunnel()
            || ctx.verdict == Verdict::FloodPorts
            || ctx.dst.vlan() != 0
            || overlay.is_gateway(ctx.src.mac())
            || overlay.is_gateway(ctx.dst.mac())
            || network.has_isolated && !snapshot.may_talk(ctx.port, tunnel.port());
        let listens = || {
            let mut ports = groups.listeners(ctx.dst).iter().chain(groups.takers(ctx.dst));
            ports.any(|&port| port == tunnel.port())
        };
        let only_learning = ctx.verdict == Verdict::Group && !listens();
        (!stays).then_some(Self { overlay, tunnel, only_learning })
    }

    fn vteps(&self) -> impl Iterator<Item = (VtepIndex, &'a VtepConf)> {
        let (tunnel, only_learning) = (self.tunnel, self.only_learning);
        let vteps = self.overlay.vteps.iter();
        vteps
            .filter_map(move |&vtep| Some((vtep, tunnel.vtep(vtep)?)))
            .filter(move |(_, conf)| conf.is_learning || !only_learning)
    }

    /// How many VTEPs get it, at most.
    pub(in crate::datapath) fn copies(&self) -> usize {
        if self.only_learning { self.vteps().count() } else { self.overlay.vteps.len() }
    }

    /// Sends a copy to each VTEP; each counts as a copy of the flood. False: there is no VTEP.
    #[inline(never)]
    pub(in crate::datapath) fn send(
        &self,
        ctx: &FrameCtx,
        io: &mut FrameIo<'_, impl Observer>,
        egress: &mut (impl Egress + ?Sized),
    ) -> bool {
        if self.vteps().next().is_none() {
            return false;
        }
        io.stats.counters.flood_copies += 1;
        let Some(mut frame) = io.pool.copy(&ctx.frame) else {
            io.drop_copy(ctx.port, &ctx.frame, DropReason::NoBuffer);
            return true;
        };
        // A priority tag: only the untagged domain spans nodes.
        let is_tagged = ctx.meta.outer.is_some();
        if is_tagged && !edit::retag(io.pool, &mut frame, 0, Tagging::Untagged) {
            io.drop_frame(ctx.port, frame, DropReason::NoBuffer);
            return true;
        }
        let meta = if is_tagged { ctx.meta.popped().unwrap_or(ctx.meta) } else { ctx.meta };
        if meta.l4 == L4::Tcp {
            self.clamp(&meta, &frame, io.pool);
        }
        let sent = wrap(io, frame, &meta, self.overlay.vni, |io, frame, datagrams| {
            self.replicate(ctx, (frame, datagrams), io, egress);
        });
        if let Err((frame, reason)) = sent {
            io.drop_frame(ctx.port, frame, reason);
        }
        true
    }

    /// Lowers the MSS of a SYN to the narrowest of the paths.
    fn clamp(&self, meta: &Meta, frame: &Frame, pool: &mut Pool) {
        let mtu = self.vteps().map(|(_, conf)| conf.mtu).min();
        let bytes = pool.bytes_mut(frame).and_then(|bytes| bytes.split_at_mut_checked(VNET_LEN));
        if let Some((mtu, (vnet, ethernet))) = mtu.zip(bytes) {
            mss_clamp::clamp(meta, ethernet, mtu, edit::checksum_state(vnet));
        }
    }

    /// Sends copies of a buffer to all VTEPs, and the buffer itself to the last one.
    fn replicate(
        &self,
        ctx: &FrameCtx,
        (frame, datagrams): (Frame, Datagrams),
        io: &mut FrameIo<'_, impl Observer>,
        egress: &mut (impl Egress + ?Sized),
    ) {
        let mut vteps = self.vteps().peekable();
        let mut original = Some(frame);
        while let Some((vtep, conf)) = vteps.next() {
            let copy = match vteps.peek() {
                None => original.take(),
                Some(_) => {
                    io.stats.counters.flood_copies += datagrams.count;
                    original.as_ref().and_then(|frame| io.pool.copy(frame))
                }
            };
            let reason = match copy {
                Some(copy) if fit(&ctx.meta, io.pool, &ctx.frame, conf.mtu) == Fit::Whole => {
                    send_to((vtep, conf), self.tunnel, (copy, datagrams), io, egress);
                    continue;
                }
                Some(copy) => {
                    io.pool.release(copy);
                    DropReason::TunnelTooBig
                }
                None => DropReason::NoBuffer,
            };
            io.stats.vtep_mut(vtep).drops += datagrams.count;
            io.drop_copies(ctx.port, &ctx.frame, reason, datagrams.count);
        }
    }
}

/// Puts the headers of a tunnel in front of a frame, whose metadata is `meta`, and gives the buffer to `send`: several
/// buffers for a long GSO frame.
///
/// # Errors
/// The frame, and the reason why it, or the rest of it, cannot be sent.
#[inline]
fn wrap<'a, O: Observer>(
    io: &mut FrameIo<'a, O>,
    mut frame: Frame,
    meta: &Meta,
    vni: vxlan::Vni,
    mut send: impl FnMut(&mut FrameIo<'a, O>, Frame, Datagrams),
) -> Result<(), (Frame, DropReason)> {
    if io.pool.bytes(&frame).get(1).is_some_and(|&gso_type| gso_type != 0) {
        return match segment(io, &frame, meta, vni, send) {
            Ok(()) => {
                // Its segments have been counted beside it.
                io.stats.counters.segmented -= 1;
                io.pool.release(frame);
                Ok(())
            }
            Err(reason) => Err((frame, reason)),
        };
    }
    let (bytes, ecn) = (frame.wire_len(), ecn::of(meta, io.pool.ethernet(&frame)));
    match wrap_one(io.pool, &mut frame, meta, vni) {
        Ok(socket) => {
            send(io, frame, Datagrams { count: 1, bytes, segment: 0, socket, ecn });
            Ok(())
        }
        Err(reason) => Err((frame, reason)),
    }
}

/// Writes the segments of a GSO frame to further buffers, as many into one as the kernel takes with one send.
#[inline(never)]
fn segment<'a, O: Observer>(
    io: &mut FrameIo<'a, O>,
    frame: &Frame,
    meta: &Meta,
    vni: vxlan::Vni,
    mut send: impl FnMut(&mut FrameIo<'a, O>, Frame, Datagrams),
) -> Result<(), DropReason> {
    let ethernet = io.pool.ethernet(frame);
    let (socket, ecn) = (entropy(meta, ethernet, vni), ecn::of(meta, ethernet));
    let mut next = 0;
    loop {
        let mut part = io.pool.alloc().ok_or(DropReason::NoBuffer)?;
        part.set_len(FRAME_MAX);
        let buffers = io.pool.bytes_of_both(frame, &part).ok_or(DropReason::NoBuffer);
        let written = buffers.and_then(|(from, to)| write_segments(from, next, vni, to));
        let Written { segments, len, segment, is_last } = match written {
            Ok(written) => written,
            Err(reason) => {
                io.pool.release(part);
                return Err(reason);
            }
        };
        part.set_len(datagram::LEN + len);
        let bytes = len - segments * vxlan::HEADER_LEN;
        io.stats.counters.segmented += segments as u64;
        send(io, part, Datagrams { count: segments as u64, bytes, segment, socket, ecn });
        next += segments;
        if is_last {
            return Ok(());
        }
    }
}

/// Segments in a buffer.
struct Written {
    segments: usize,
    /// Bytes of the datagrams.
    len: usize,
    /// Bytes of each but the last; 0: there is one.
    segment: u16,
    /// The GSO frame has no more.
    is_last: bool,
}

/// Writes segments of a GSO frame from number `next` on, each behind a VXLAN header, to a buffer with room for a
/// datagram header in front.
fn write_segments(
    from: &[u8],
    next: usize,
    vni: vxlan::Vni,
    to: &mut [u8],
) -> Result<Written, DropReason> {
    const BAD: DropReason = DropReason::TunnelBadOffload;
    let (vnet, ethernet) = from.split_at_checked(VNET_LEN).ok_or(BAD)?;
    let offload = vnet::Header::parse(vnet).map_err(|_| BAD)?;
    let segments = Segments::new(&offload, ethernet).map_err(|_| BAD)?;
    let count = segments.count();
    let mut prefix = [0; vxlan::HEADER_LEN];
    vxlan::emit(vni, &mut prefix).map_err(|_| BAD)?;
    let stride = prefix.len() + segments.stride();
    let fitting = (TUNNEL_SEND_BYTES_MAX / stride).min(TUNNEL_SEND_SEGMENTS_MAX);
    if count > TUNNEL_FRAME_SEGMENTS_MAX || fitting == 0 {
        return Err(BAD);
    }
    let end = count.min(next + fitting);
    let len = segments.write_all(next..end, &prefix, &mut to[datagram::LEN..]).ok_or(BAD)?;
    let segment = if end - next > 1 { stride as u16 } else { 0 };
    Ok(Written { segments: end - next, len, segment, is_last: end == count })
}

/// Wraps a frame that is no GSO frame in its buffer. Returns the socket that sends it.
#[inline]
fn wrap_one(
    pool: &mut Pool,
    frame: &mut Frame,
    meta: &Meta,
    vni: vxlan::Vni,
) -> Result<u16, DropReason> {
    let bytes = pool.bytes_mut(frame).ok_or(DropReason::NoBuffer)?;
    let (vnet, ethernet) =
        bytes.split_at_mut_checked(VNET_LEN).ok_or(DropReason::TunnelBadOffload)?;
    if vnet[..2] != [0, 0] {
        let offload = vnet::Header::parse(vnet).map_err(|_| DropReason::TunnelBadOffload)?;
        if offload.flags.contains(Flags::NEEDS_CSUM) {
            checksum::complete_partial(ethernet, offload.csum_start, offload.csum_offset)
                .map_err(|_| DropReason::TunnelBadOffload)?;
        }
    }
    let socket = entropy(meta, ethernet, vni);
    if !frame.grow_front(GROWTH) {
        return Err(DropReason::NoBuffer);
    }
    let header = pool.bytes_mut(frame).and_then(|bytes| bytes.get_mut(datagram::LEN..));
    let header = header.ok_or(DropReason::NoBuffer)?;
    vxlan::emit(vni, header).map_err(|_| DropReason::NoBuffer)?;
    Ok(socket)
}

/// A hash of the flow: network, addresses and ports; of MAC addresses where it is not IP.
#[inline]
fn entropy(meta: &Meta, ethernet: &[u8], vni: vxlan::Vni) -> u16 {
    let word = |at: usize| {
        let bytes = ethernet.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    };
    let (l3, l4) = (usize::from(meta.l3_offset), usize::from(meta.l4_offset));
    let addresses = match meta.l3 {
        L3::Ipv4 => word(l3 + 12),
        L3::Ipv6 => [8, 16, 24, 32].into_iter().fold(0, |sum, at| mix(sum, word(l3 + at))),
        _ => mix(meta.src.as_u64(), meta.dst.as_u64()),
    };
    let has_ports = matches!(meta.l4, L4::Tcp | L4::Udp | L4::Sctp) && !meta.fragment;
    let ports = ethernet.get(l4..l4 + 4).and_then(|ports| ports.first_chunk());
    let ports = ports.filter(|_| has_ports).map_or(0, |ports| u32::from_ne_bytes(*ports));
    (mix(mix(addresses, ports.into()), vni.get().into()) >> 48) as u16
}

/// Mixes a word into a hash; the highest bits are the best.
#[inline]
const fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word.wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(32))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
