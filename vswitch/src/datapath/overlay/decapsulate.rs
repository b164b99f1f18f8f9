//! Datagrams of the tunnel port become frames of their networks.
//!
//! A datagram that came alone is unwrapped in its buffer: the virtio-net header takes the bytes before the inner
//! frame. Of several datagrams in one buffer (`UDP_GRO`) those of one TCP flow become one GSO frame; the first run of
//! them keeps the buffer, each further one gets another. A partial checksum, which a kernel's VXLAN peer behind a veth
//! leaves in the inner frame, stays partial, and a frame that was never segmented gets a segment size.
//!
//! Such a peer also hands over a UDP frame that its sender wants segmented (`UDP_SEGMENT`) whole, with the size of the
//! *inner* segments in the place of the datagrams' (`udp_cmsg_recv`). Cut by that, its payload would be read as VXLAN
//! headers, which its sender chooses. So a first packet longer than the size makes the buffer one frame, and the
//! datagrams of a peer that no registry describes have one VXLAN header: the first, which the peer's kernel wrote. A
//! vswitch node sends no inner GSO frame, and its flows of several networks share a source port.
//!
//! A mark of congestion in the outer header comes into the inner one (RFC 6040). Datagrams of one buffer have the same one,
//! as Linux' GRO joins no others.

use std::net::IpAddr;

use fastpath::datagram::{self, Header};
use fastpath::limits::{FRAME_MAX, VNET_LEN};
use fastpath::{Frame, PortIndex, Received};
use wire::coalesce::{self, Layout, Run};
use wire::limits::UDP_COALESCED_MAX;
use wire::meta::{L3, Meta};
use wire::{ecn, mss_clamp, offload, vxlan};

use crate::datapath::batch::FrameCtx;
use crate::datapath::fdb::{BucketPair, Key};
use crate::datapath::{
    Batch, Destination, DropReason, FrameIo, NetworkIndex, Observer, Snapshot, TunnelConf, Verdict,
    VtepIndex, edit, parse,
};

/// Bytes before the inner frame in the buffer of a received datagram.
const OUTER_LEN: usize = datagram::LEN + vxlan::HEADER_LEN;

/// Moves frames of the tunnel port from the list of received frames to the batch, or drops them.
pub(in crate::datapath) fn run(
    batch: &mut Batch,
    snapshot: &Snapshot,
    io: &mut FrameIo<'_, impl Observer>,
) {
    let Some(tunnel) = snapshot.tunnel() else { return };
    let port = tunnel.port();
    let Batch { incoming, frames, .. } = batch;
    let mut stage = Decapsulation { snapshot, tunnel, port, last: None, frames };
    for Received { frame, .. } in incoming.extract_if(.., |received| received.port == port) {
        stage.unwrap_buffer(frame, io);
    }
}

const BAD_HEADER: DropReason = DropReason::TunnelBadHeader;

/// What a foreign peer's buffer with a segment size holds.
enum Cut {
    /// Datagrams of that size.
    Datagrams,
    /// One UDP packet whose payload is to be cut so.
    Whole(wire::vnet::Header),
    /// The first packet is longer, and not all of the buffer.
    Wrong,
}

impl Cut {
    /// Of the payload of a buffer: a VXLAN header and what follows it.
    fn of(payload: &[u8], segment: u16) -> Self {
        let stride = usize::from(segment);
        let ethernet = payload.get(vxlan::HEADER_LEN..).unwrap_or_default();
        let Ok(meta) = Meta::parse(ethernet) else { return Self::Datagrams };
        let is_ip = matches!(meta.l3, L3::Ipv4 | L3::Ipv6);
        if !is_ip || vxlan::HEADER_LEN + meta.l3_end() <= stride {
            return Self::Datagrams;
        }
        // Joined datagrams, the first of which claims the bytes of the others.
        let is_joined = payload.get(stride..).is_some_and(vxlan::is_plain);
        match offload::unsegmented_udp(&meta, ethernet, segment) {
            Some(vnet) if !is_joined => Self::Whole(vnet),
            _ => Self::Wrong,
        }
    }
}

/// What the outer header says.
#[derive(Debug, Clone, Copy)]
struct OuterHeader {
    /// Its source.
    peer: IpAddr,
    /// Its type of service or traffic class.
    tos: u8,
}

/// Datagrams in one buffer.
#[derive(Debug, Clone, Copy)]
struct Several {
    outer: OuterHeader,
    /// From one to the next.
    stride: usize,
    /// The VXLAN header that each must have.
    vxlan: Option<[u8; vxlan::HEADER_LEN]>,
}

struct Decapsulation<'a> {
    snapshot: &'a Snapshot,
    tunnel: &'a TunnelConf,
    port: PortIndex,
    /// The origin of the last datagram: as a rule the next one has the same.
    last: Option<((IpAddr, vxlan::Vni), Origin)>,
    /// The batch.
    frames: &'a mut Vec<FrameCtx>,
}

/// Who sent a frame, and of which network.
#[derive(Debug, Clone, Copy)]
struct Origin {
    vtep: VtepIndex,
    network: NetworkIndex,
    /// The network's largest packet.
    mtu: u32,
    /// The path's MTU where it is below that.
    clamp: Option<u32>,
    /// Type of service or traffic class of the outer header.
    tos: u8,
}

impl Decapsulation<'_> {
    /// Unwraps the datagrams of a buffer.
    fn unwrap_buffer(&mut self, frame: Frame, io: &mut FrameIo<'_, impl Observer>) {
        let Some(header) = Header::read(io.pool.bytes(&frame)) else {
            return io.drop_frame(self.port, frame, BAD_HEADER);
        };
        let outer = OuterHeader { peer: header.peer.ip(), tos: header.tos };
        let stride = usize::from(header.segment);
        if stride == 0 || frame.len() <= datagram::LEN + stride {
            return self.unwrap_one(frame, outer, io);
        }
        let payload = &io.pool.bytes(&frame)[datagram::LEN..];
        let count = header.datagrams(payload.len()) as u64;
        let is_foreign = self.is_foreign(outer.peer);
        let cut = if is_foreign { Cut::of(payload, header.segment) } else { Cut::Datagrams };
        match cut {
            Cut::Datagrams if count <= UDP_COALESCED_MAX as u64 => {
                let vxlan = payload.first_chunk().filter(|_| is_foreign).copied();
                self.unwrap_several(frame, Several { outer, stride, vxlan }, io);
            }
            Cut::Whole(vnet) => self.unwrap_whole(frame, outer, (vnet, count), io),
            // No kernel joins more datagrams, and each would take a buffer.
            Cut::Datagrams | Cut::Wrong => {
                io.drop_copies(self.port, &frame, BAD_HEADER, count);
                io.pool.release(frame);
            }
        }
    }

    /// Unwraps a UDP packet for a receiver that segments it, which counts as `count` datagrams.
    fn unwrap_whole(
        &mut self,
        mut frame: Frame,
        outer: OuterHeader,
        (vnet, count): (wire::vnet::Header, u64),
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let origin = self.origin(outer, &io.pool.bytes(&frame)[datagram::LEN..]);
        let is_unwrapped = frame.shrink_front(OUTER_LEN - VNET_LEN);
        debug_assert!(is_unwrapped, "its headers have been read");
        match origin {
            Ok(origin) => {
                io.stats.vtep_mut(origin.vtep).count_rx(count, frame.wire_len());
                io.stats.counters.merged += count - 1;
                self.push(frame, origin, Some(vnet), io);
            }
            Err(reason) => {
                io.drop_copies(self.port, &frame, reason, count);
                io.pool.release(frame);
            }
        }
    }

    /// Unwraps one datagram in its buffer.
    fn unwrap_one(
        &mut self,
        mut frame: Frame,
        outer: OuterHeader,
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let origin = match self.origin(outer, &io.pool.bytes(&frame)[datagram::LEN..]) {
            Ok(origin) => origin,
            Err(reason) => return io.drop_frame(self.port, frame, reason),
        };
        let traffic = io.stats.vtep_mut(origin.vtep);
        traffic.count_rx(1, frame.len().saturating_sub(OUTER_LEN));
        if frame.shrink_front(OUTER_LEN - VNET_LEN) {
            self.push(frame, origin, None, io);
        } else {
            io.drop_frame(self.port, frame, BAD_HEADER);
        }
    }

    /// Unwraps datagrams, of which the last may be shorter.
    fn unwrap_several(
        &mut self,
        mut frame: Frame,
        several: Several,
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let Several { outer, stride, .. } = several;
        let first = self.origin(outer, &io.pool.bytes(&frame)[datagram::LEN..]);
        let first = first.and_then(|origin| {
            let buffer = io.pool.bytes_mut(&frame).and_then(|it| it.get_mut(datagram::LEN..));
            let run = buffer.and_then(|buffer| coalesce::in_place(buffer, layout(origin, stride)));
            run.map(|run| (origin, run)).ok_or_else(|| {
                io.stats.vtep_mut(origin.vtep).drops += 1;
                DropReason::Truncated
            })
        });
        let mut at = datagram::LEN + first.as_ref().map_or(stride, |(_, run)| run.taken);
        let before = self.frames.len();
        while at < frame.len() {
            at += self.copy_run(&frame, at, several, io);
        }
        let others = self.frames.len();
        match first {
            Ok((origin, run)) => {
                count(origin, &run, io);
                frame.set_len(OUTER_LEN + run.len);
                let is_unwrapped = frame.shrink_front(OUTER_LEN - VNET_LEN);
                debug_assert!(is_unwrapped, "the datagram has been read");
                self.push(frame, origin, Some(run.vnet), io);
            }
            Err(reason) => io.drop_frame(self.port, frame, reason),
        }
        // It came first.
        if self.frames.len() > others {
            self.frames[before..].rotate_right(1);
        }
    }

    /// Copies the run of datagrams at `at` into a buffer of its own. Returns the bytes that it took.
    fn copy_run(
        &mut self,
        frame: &Frame,
        at: usize,
        Several { outer, stride, vxlan }: Several,
        io: &mut FrameIo<'_, impl Observer>,
    ) -> usize {
        let bytes = &io.pool.bytes(frame)[at..];
        let is_allowed = vxlan.is_none_or(|vxlan| bytes.starts_with(&vxlan));
        let origin = if is_allowed { self.origin(outer, bytes) } else { Err(BAD_HEADER) };
        let origin = match origin {
            Ok(origin) => origin,
            Err(reason) => {
                io.drop_copy(self.port, frame, reason);
                return stride;
            }
        };
        let Some(mut part) = io.pool.alloc() else {
            io.stats.vtep_mut(origin.vtep).drops += 1;
            io.drop_copy(self.port, frame, DropReason::NoBuffer);
            return stride;
        };
        part.set_len(FRAME_MAX);
        let buffers = io.pool.bytes_of_both(frame, &part);
        let run = buffers.and_then(|(from, to)| {
            coalesce::copy(&from[at..], layout(origin, stride), &mut to[VNET_LEN..])
        });
        let Some(run) = run else {
            // No more than a VXLAN header.
            io.stats.vtep_mut(origin.vtep).drops += 1;
            io.drop_frame(self.port, part, DropReason::Truncated);
            return stride;
        };
        count(origin, &run, io);
        part.set_len(VNET_LEN + run.len);
        self.push(part, origin, Some(run.vnet), io);
        run.taken
    }

    /// Parses a frame, whose virtio-net header is to be written, and appends it to the batch.
    #[inline]
    fn push(
        &mut self,
        frame: Frame,
        origin: Origin,
        vnet: Option<wire::vnet::Header>,
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let bytes = io.pool.bytes_mut(&frame).and_then(|it| it.split_at_mut_checked(VNET_LEN));
        let Some((header, ethernet)) = bytes else {
            return io.drop_frame(self.port, frame, DropReason::NoBuffer);
        };
        let meta = match Meta::parse(ethernet) {
            Ok(meta) => meta,
            Err(error) => {
                io.stats.vtep_mut(origin.vtep).drops += 1;
                return io.drop_frame(self.port, frame, parse::reason(error));
            }
        };
        if !ecn::decapsulate(&meta, ethernet, origin.tos) {
            io.stats.vtep_mut(origin.vtep).drops += 1;
            return io.drop_frame(self.port, frame, DropReason::TunnelEcn);
        }
        match vnet.unwrap_or_else(|| offload::received_as(&meta, ethernet, origin.mtu)) {
            plain if plain == wire::vnet::Header::default() => header.fill(0),
            vnet => header.copy_from_slice(&vnet.to_bytes()),
        }
        if let Some(mtu) = origin.clamp {
            mss_clamp::clamp(&meta, ethernet, mtu, edit::checksum_state(header));
        }
        self.frames.push(FrameCtx {
            segment: parse::segment_len(header, ethernet.len(), &meta),
            frame,
            port: self.port,
            network: origin.network,
            verdict: Verdict::Pending,
            src: Key::NONE,
            src_buckets: BucketPair::default(),
            dst: Key::NONE,
            dst_buckets: BucketPair::default(),
            meta,
            source: Destination::tunnel(origin.vtep),
        });
    }

    /// Whether another program than a vswitch node may send from an address: a VTEP there has no record.
    fn is_foreign(&self, peer: IpAddr) -> bool {
        let mut vteps = self.tunnel.at(peer).filter_map(|vtep| self.tunnel.vtep(vtep));
        vteps.any(|conf| conf.is_learning)
    }

    /// VTEP and network of a datagram, given from its VXLAN header.
    #[inline]
    fn origin(&mut self, outer: OuterHeader, payload: &[u8]) -> Result<Origin, DropReason> {
        let OuterHeader { peer, tos } = outer;
        let Ok(packet) = vxlan::Packet::new_checked(payload) else {
            return Err(match self.tunnel.at(peer).next() {
                Some(_) => BAD_HEADER,
                None => DropReason::TunnelUnknownVtep,
            });
        };
        let key = (peer, packet.vni());
        match self.last {
            Some((last, origin)) if last == key => Ok(Origin { tos, ..origin }),
            _ => {
                let origin = Origin { tos, ..self.find(key)? };
                self.last = Some((key, origin));
                Ok(origin)
            }
        }
    }

    fn find(&self, (peer, vni): (IpAddr, vxlan::Vni)) -> Result<Origin, DropReason> {
        if self.tunnel.at(peer).next().is_none() {
            return Err(DropReason::TunnelUnknownVtep);
        }
        let (index, network) =
            self.snapshot.network_of_vni(vni).ok_or(DropReason::TunnelUnknownVni)?;
        let overlay = network.overlay.as_ref().ok_or(DropReason::TunnelUnknownVni)?;
        let vtep = self.tunnel.at(peer).find(|&vtep| overlay.has(vtep));
        let vtep = vtep.ok_or(DropReason::TunnelForeignVtep)?;
        let (mtu, path) = (network.conf.mtu, self.tunnel.vtep(vtep).map(|conf| conf.mtu));
        Ok(Origin { vtep, network: index, mtu, clamp: path.filter(|&path| path < mtu), tos: 0 })
    }
}

fn layout(origin: Origin, stride: usize) -> Layout {
    Layout { prefix: vxlan::HEADER_LEN, stride, udp: false, mtu: origin.mtu }
}

/// Counts the datagrams of a run.
fn count(origin: Origin, run: &Run, io: &mut FrameIo<'_, impl Observer>) {
    let bytes = run.taken - run.frames * vxlan::HEADER_LEN;
    io.stats.vtep_mut(origin.vtep).count_rx(run.frames as u64, bytes);
    io.stats.counters.merged += run.frames as u64 - 1;
}
