//! Answers to packets that belong to no connection.
//!
//! The host hands over only ports that are ours: published ones, and those of claimed blocks. So nobody else answers:
//! TCP gets a reset (RFC 9293 section 3.5.2), SCTP an ABORT (RFC 9260 section 8.4), UDP ICMP "port unreachable". A peer
//! whose connection was lost here, by a restart or a flush, learns so at once.

use nat::{Kind, Segment, Transport, Tuple, View};
use wire::frames::{self, Link};
use wire::icmp_error::IcmpError;
use wire::limits::ICMP_ERROR_FRAME_MAX;
use wire::tcp::{self, Flags};
use wire::{MacAddr, Protocol, ip, sctp};

use super::UplinkLink;
use super::forward::{ForwardCtx, Rejection};
use crate::datapath::batch::FrameCtx;
use crate::datapath::{DropReason, Verdict};

impl ForwardCtx<'_> {
    /// Drops a packet without a connection, and tells its sender.
    #[cold]
    pub(super) fn refuse_unmapped(
        &mut self,
        ctx: &mut FrameCtx,
        link: &UplinkLink,
        view: &View,
        reason: DropReason,
    ) {
        ctx.verdict = Verdict::Drop(reason);
        match &view.kind {
            Kind::Flow { segment: Some(_), .. } => self.send_reset(ctx, link.device_mac, view),
            Kind::Flow { tuple, .. } if tuple.transport == Transport::Sctp => {
                self.send_abort(ctx, link.device_mac, tuple);
            }
            Kind::Flow { .. } => {
                let source = link.icmp_source(view.dst);
                let why = Rejection::new(reason, IcmpError::PortUnreachable);
                self.reject(ctx, source, why);
            }
            Kind::Error(_) | Kind::Tail(_) | Kind::Other => {}
        }
    }

    /// Resets a segment's connection, as its destination would, by a MAC address of ours.
    #[cold]
    pub(super) fn send_reset(&mut self, ctx: &FrameCtx, mac: MacAddr, view: &View) {
        let Kind::Flow { tuple, segment: Some(segment), .. } = &view.kind else { return };
        if segment.flags.contains(Flags::RST) || ctx.meta.src.is_multicast() {
            return;
        }
        let reset = reset(tuple, segment);
        self.send_end(ctx, mac, tuple, |buffer, link, ip| {
            frames::tcp(buffer, link, ip, &reset, &[])
        });
    }

    /// Aborts an SCTP packet's association, likewise.
    fn send_abort(&mut self, ctx: &FrameCtx, mac: MacAddr, tuple: &Tuple) {
        let abort = sctp::out_of_the_blue(ctx.meta.l4_bytes(self.ethernet(ctx)));
        let Some(abort) = abort.filter(|_| !ctx.meta.src.is_multicast()) else { return };
        self.send_end(ctx, mac, tuple, |buffer, link, ip| frames::sctp(buffer, link, ip, &abort));
    }

    /// Sends what ends a connection, to the sender of a frame of it, within the limit.
    fn send_end(
        &mut self,
        ctx: &FrameCtx,
        mac: MacAddr,
        tuple: &Tuple,
        write: impl FnOnce(&mut [u8], &Link, &ip::Repr) -> Result<usize, wire::Error>,
    ) {
        if !self.state.reset_limit.allow(self.now, ctx.port) {
            self.state.counters.resets_suppressed += 1;
            return;
        }
        // The writer sets the protocol.
        let Some(ip) = ip::Repr::new(tuple.dst.address, tuple.src.address, Protocol::TCP) else {
            return;
        };
        let link = Link { vlan: ctx.meta.outer, ..Link::new(mac, ctx.meta.src) };
        let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
        let written = write(&mut buffer, &link, &ip);
        let Some(answer) = written.ok().and_then(|len| buffer.get(..len)) else { return };
        if self.emit_answer(ctx, answer) {
            self.state.counters.resets_sent += 1;
        }
    }
}

/// A TCP segment of a connection that is open for its sender.
pub(super) fn is_midstream(view: &View) -> bool {
    let Kind::Flow { segment: Some(segment), .. } = &view.kind else { return false };
    segment.flags.contains(Flags::ACK) || segment.flags.contains(Flags::FIN)
}

/// The reset of a segment (RFC 9293 section 3.10.7.1).
fn reset(tuple: &Tuple, segment: &Segment) -> tcp::Repr {
    let ports = tcp::Repr {
        src_port: tuple.dst.port,
        dst_port: tuple.src.port,
        flags: Flags::RST,
        ..tcp::Repr::default()
    };
    if segment.flags.contains(Flags::ACK) {
        return tcp::Repr { seq: segment.ack, ..ports };
    }
    let ack = segment.seq.wrapping_add(segment.len);
    tcp::Repr { ack, flags: Flags::RST.with(Flags::ACK), ..ports }
}
