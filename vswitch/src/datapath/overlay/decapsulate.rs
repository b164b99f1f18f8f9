//! Datagrams of the tunnel port become frames of their networks.
//!
//! A datagram that came alone is unwrapped in its buffer: the virtio-net header takes the bytes before the inner
//! frame. Of several datagrams in one buffer (`UDP_GRO`) each gets a buffer of its own.

use std::net::IpAddr;

use fastpath::datagram::{self, Header};
use fastpath::limits::VNET_LEN;
use fastpath::{Frame, PortIndex, Received};
use wire::meta::Meta;
use wire::{ChecksumState, mss_clamp, vxlan};

use crate::datapath::batch::FrameCtx;
use crate::datapath::fdb::{BucketPair, Key};
use crate::datapath::{
    Batch, Destination, DropReason, FrameIo, NetworkIndex, Observer, Snapshot, TunnelConf, Verdict,
    VtepIndex, parse,
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
    let mut stage = Decapsulation { snapshot, tunnel, last: None };
    let Batch { incoming, frames, .. } = batch;
    for Received { frame, .. } in incoming.extract_if(.., |received| received.port == port) {
        stage.unwrap_buffer(port, frame, frames, io);
    }
}

struct Decapsulation<'a> {
    snapshot: &'a Snapshot,
    tunnel: &'a TunnelConf,
    /// The origin of the last datagram: as a rule the next one has the same.
    last: Option<((IpAddr, vxlan::Vni), Origin)>,
}

/// Who sent a frame, and of which network.
#[derive(Debug, Clone, Copy)]
struct Origin {
    vtep: VtepIndex,
    network: NetworkIndex,
    /// The path's MTU where it is below the network's.
    clamp: Option<u32>,
}

impl Decapsulation<'_> {
    /// Unwraps the datagrams of a buffer.
    fn unwrap_buffer(
        &mut self,
        port: PortIndex,
        frame: Frame,
        frames: &mut Vec<FrameCtx>,
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let Some(header) = Header::read(io.pool.bytes(&frame)) else {
            return io.drop_frame(port, frame, DropReason::TunnelBadHeader);
        };
        let segment = usize::from(header.segment);
        if segment != 0 && frame.len() > datagram::LEN + segment {
            return self.split(port, frame, header, frames, io);
        }
        self.unwrap(port, frame, header.peer.ip(), frames, io);
    }

    /// Gives each datagram of a buffer a buffer of its own; the first keeps this one.
    fn split(
        &mut self,
        port: PortIndex,
        mut frame: Frame,
        header: Header,
        frames: &mut Vec<FrameCtx>,
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let segment = usize::from(header.segment);
        let peer = header.peer.ip();
        let ends = frame.len();
        let starts = (datagram::LEN + segment..ends).step_by(segment);
        let first = frames.len();
        for start in starts {
            match copy_part(io, &frame, start..ends.min(start + segment)) {
                Some(part) => self.unwrap(port, part, peer, frames, io),
                None => io.drop_copy(port, &frame, DropReason::NoBuffer),
            }
        }
        frame.set_len(datagram::LEN + segment);
        let others = frames.len();
        self.unwrap(port, frame, peer, frames, io);
        // It came first.
        if frames.len() > others {
            frames[first..].rotate_right(1);
        }
    }

    /// Unwraps one datagram in its buffer.
    fn unwrap(
        &mut self,
        port: PortIndex,
        mut frame: Frame,
        peer: IpAddr,
        frames: &mut Vec<FrameCtx>,
        io: &mut FrameIo<'_, impl Observer>,
    ) {
        let origin = match self.origin(peer, &io.pool.bytes(&frame)[datagram::LEN..]) {
            Ok(origin) => origin,
            Err(reason) => return io.drop_frame(port, frame, reason),
        };
        let traffic = io.stats.vtep_mut(origin.vtep);
        traffic.count_rx(frame.len().saturating_sub(OUTER_LEN));
        let is_unwrapped = frame.shrink_front(OUTER_LEN - VNET_LEN);
        let bytes = io.pool.bytes_mut(&frame).filter(|_| is_unwrapped);
        let Some((vnet, ethernet)) = bytes.and_then(|bytes| bytes.split_at_mut_checked(VNET_LEN))
        else {
            return io.drop_frame(port, frame, DropReason::TunnelBadHeader);
        };
        vnet.fill(0);
        match Meta::parse(ethernet) {
            Ok(meta) => {
                if let Some(mtu) = origin.clamp {
                    mss_clamp::clamp(&meta, ethernet, mtu, ChecksumState::Complete);
                }
                frames.push(FrameCtx {
                    segment: parse::segment_len(vnet, ethernet.len(), &meta),
                    frame,
                    port,
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
            Err(error) => {
                io.stats.vtep_mut(origin.vtep).drops += 1;
                io.drop_frame(port, frame, parse::reason(error));
            }
        }
    }

    /// VTEP and network of a datagram, given from its VXLAN header.
    fn origin(&mut self, peer: IpAddr, payload: &[u8]) -> Result<Origin, DropReason> {
        let Ok(packet) = vxlan::Packet::new_checked(payload) else {
            return Err(match self.tunnel.at(peer).next() {
                Some(_) => DropReason::TunnelBadHeader,
                None => DropReason::TunnelUnknownVtep,
            });
        };
        let key = (peer, packet.vni());
        match self.last {
            Some((last, origin)) if last == key => Ok(origin),
            _ => {
                let origin = self.find(key)?;
                self.last = Some((key, origin));
                Ok(origin)
            }
        }
    }

    fn find(&self, (peer, vni): (IpAddr, vxlan::Vni)) -> Result<Origin, DropReason> {
        if self.tunnel.at(peer).next().is_none() {
            return Err(DropReason::TunnelUnknownVtep);
        }
        let found = self.snapshot.network_of_vni(vni);
        let (network, (mtu, overlay)) = found
            .and_then(|(index, network)| {
                Some((index, (network.conf.mtu, network.overlay.as_ref()?)))
            })
            .ok_or(DropReason::TunnelUnknownVni)?;
        let vtep = self.tunnel.at(peer).find(|&vtep| overlay.has(vtep));
        let vtep = vtep.ok_or(DropReason::TunnelForeignVtep)?;
        let path = self.tunnel.vtep(vtep).map(|conf| conf.mtu);
        Ok(Origin { vtep, network, clamp: path.filter(|&path| path < mtu) })
    }
}

/// A buffer with room for a datagram header, and these bytes of `frame`.
fn copy_part(
    io: &mut FrameIo<'_, impl Observer>,
    frame: &Frame,
    bytes: std::ops::Range<usize>,
) -> Option<Frame> {
    let mut part = io.pool.alloc()?;
    part.set_len(datagram::LEN + bytes.len());
    if let Some((from, to)) = io.pool.bytes_of_both(frame, &part) {
        to[datagram::LEN..].copy_from_slice(&from[bytes]);
    }
    Some(part)
}
