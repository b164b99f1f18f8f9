//! Handoff of frames between workers.

use fastpath::{Frame, PortIndex};
use nat::fragment::Verdict as FragmentVerdict;

/// The worker that translates a fragmented packet, or a drop reason.
pub(super) type Assignment = FragmentVerdict<usize>;

/// A frame for another worker.
#[derive(Debug)]
pub(crate) struct HandoffOut {
    /// The worker.
    pub(crate) to: usize,
    /// The worker translates the frame.
    pub(crate) is_assigned: bool,
    /// The ingress port.
    pub(crate) port: PortIndex,
    pub(crate) frame: Frame,
}

/// A frame from another worker, copied to a local buffer.
#[derive(Debug)]
pub(crate) struct HandoffIn {
    pub(crate) is_assigned: bool,
    pub(crate) port: PortIndex,
    pub(crate) frame: Frame,
}
