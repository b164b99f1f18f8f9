//! State of a worker's tunnel.

use std::sync::Arc;

use fastpath::limits::{FRAME_MAX, ROUND_FRAMES_MAX};
use vswitch_counters::RouterCounters;

use super::TunnelConf;
use crate::datapath::batch::FrameCtx;
use crate::datapath::destination::VtepIndex;
use crate::datapath::limits::ICMP_ERROR_RATE;
use crate::datapath::router::AnswerLimit;
use crate::datapath::{Destination, Fdb};

/// What a worker has once there is a tunnel port.
#[derive(Debug)]
pub(in crate::datapath) struct TunnelState {
    /// The tunnel of the last snapshot.
    conf: Arc<TunnelConf>,
    /// VTEPs that are others than before: their counters begin anew.
    changed: Vec<VtepIndex>,
    pub(super) icmp_limit: AnswerLimit,
    /// The packet that is being fragmented.
    pub(super) scratch: Vec<u8>,
    /// Frames for the later stages: fragments, ICMP errors.
    pub(super) emitted: Vec<FrameCtx>,
    /// ICMP errors about the path's MTU.
    pub(in crate::datapath) counters: RouterCounters,
}

impl TunnelState {
    /// The state for a tunnel.
    pub(in crate::datapath) fn new(conf: Arc<TunnelConf>) -> Self {
        Self {
            conf,
            changed: Vec::new(),
            icmp_limit: AnswerLimit::new(ICMP_ERROR_RATE),
            scratch: Vec::with_capacity(FRAME_MAX),
            emitted: Vec::with_capacity(ROUND_FRAMES_MAX),
            counters: RouterCounters::default(),
        }
    }

    /// Applies the tunnel of a new snapshot: addresses learnt from a VTEP that is gone, is another one, or does not
    /// learn any more are forgotten.
    pub(in crate::datapath) fn apply(&mut self, next: &Arc<TunnelConf>, fdb: &mut Fdb) {
        if Arc::ptr_eq(&self.conf, next) {
            return;
        }
        for vtep in (0..self.conf.slots() as u16).map(VtepIndex) {
            let Some(last) = self.conf.vtep(vtep) else { continue };
            let same = next.vtep(vtep).filter(|next| next.address == last.address);
            if same.is_none() {
                self.changed.push(vtep);
            }
            if same.is_none_or(|next| !next.is_learning) {
                fdb.forget_destination(Destination::tunnel(vtep));
            }
        }
        self.conf = Arc::clone(next);
    }

    /// VTEPs that were replaced or removed since the last call.
    pub(in crate::datapath) fn changed(&mut self) -> impl Iterator<Item = VtepIndex> {
        self.changed.drain(..)
    }
}
